//! Colour, where a person watches and wants it. Meaning never depends on it: every painted word says the same without.

use std::io::IsTerminal;

/// Whether text is painted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Style {
    /// Not at all.
    Plain,
    /// With the terminal's own colours.
    Colour,
}

/// What a text is painted as.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Paint {
    /// As it is.
    None,
    /// All is well.
    Good,
    /// On its way.
    Busy,
    /// Wrong.
    Bad,
    /// A heading.
    Strong,
    /// Of less interest.
    Faint,
}

impl Style {
    /// Colour when stdout is a terminal, `NO_COLOR` is unset or empty and the terminal is not dumb.
    #[must_use]
    pub fn of_stdout() -> Style {
        let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        if std::io::stdout().is_terminal() && !set("NO_COLOR") && !dumb { Style::Colour } else { Style::Plain }
    }

    /// The text, painted if that is wanted.
    #[must_use]
    pub fn paint(self, paint: Paint, text: &str) -> String {
        let code = match (self, paint) {
            (Style::Plain, _) | (Style::Colour, Paint::None) => return text.to_owned(),
            (Style::Colour, Paint::Good) => "32",
            (Style::Colour, Paint::Busy) => "33",
            (Style::Colour, Paint::Bad) => "31",
            (Style::Colour, Paint::Strong) => "1",
            (Style::Colour, Paint::Faint) => "2",
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }
}
