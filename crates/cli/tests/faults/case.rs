//! Cases as they are written: one line each.

use crate::step::Step;

/// One line of `cases.txt`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case {
    /// Its name among the tests.
    pub name: String,
    /// When it runs.
    pub form: Form,
    /// What clients may lose.
    pub promise: Promise,
    /// What happens, in its order.
    pub steps: Vec<Step>,
    /// Why it does not hold yet. In the whole suite a case that holds although it is marked so fails, so that no mark outlives its reason.
    pub awaited: Option<String>,
}

/// When a case runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// With all tests.
    Short,
    /// With `cargo xtask faults`.
    Whole,
}

/// What clients may lose, each whatever else happens in the case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Promise {
    /// No request.
    Nothing,
    /// What the killed proxy held when it was killed, and no request after that.
    Held,
    /// What was sent to the instance that broke, and nothing any more once everything is ready again.
    Meanwhile,
}

impl Case {
    /// Reads all lines; empty ones and those that begin with `#` are for people.
    pub fn parse_all(text: &str) -> Result<Vec<Self>, String> {
        let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty() && !line.starts_with('#'));
        lines.map(|(number, line)| Self::parse(line).map_err(|error| format!("line {}: {error}", number + 1))).collect()
    }

    /// `name | form | promise | step; step; … | awaited: why`, the last part only where it does not hold yet.
    fn parse(line: &str) -> Result<Self, String> {
        let parts: Vec<&str> = line.split('|').map(str::trim).collect();
        let (name, form, promise, steps, awaited) = match parts[..] {
            [name, form, promise, steps] => (name, form, promise, steps, None),
            [name, form, promise, steps, awaited] => (name, form, promise, steps, Some(awaited)),
            _ => {
                return Err(format!(
                    "{} parts, wanted 4 or 5: name | form | promise | steps | awaited: why",
                    parts.len()
                ));
            }
        };
        let awaited = awaited.map(|text| text.strip_prefix("awaited: ").ok_or(format!("not `awaited: why`: {text}")));
        Ok(Self {
            name: name.to_owned(),
            form: match form {
                "short" => Form::Short,
                "whole" => Form::Whole,
                _ => return Err(format!("not short or whole: {form}")),
            },
            promise: match promise {
                "nothing" => Promise::Nothing,
                "held" => Promise::Held,
                "meanwhile" => Promise::Meanwhile,
                _ => return Err(format!("no promise: {promise}")),
            },
            steps: steps.split(';').map(|step| Step::parse(step.trim())).collect::<Result<_, _>>()?,
            awaited: awaited.transpose()?.map(str::to_owned),
        })
    }
}
