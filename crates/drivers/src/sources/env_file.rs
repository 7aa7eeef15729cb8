//! What a file of variables says: the form that `docker`, `systemd` and dotenv libraries share.
//!
//! - A line is `NAME=value`, `export NAME=value`, empty, or begins with `#`.
//! - A value without quotes ends with the line, or before a `#` behind white space; white space around it does not count.
//! - In single quotes everything is itself. In double quotes `\n`, `\r`, `\t`, `\"`, `\\` and `\$` are one character each. Quoted values may go over
//!   several lines, as keys in PEM do.
//! - Nothing is put in for `$NAME`: what a file says does not depend on who reads it.

use gapless_model::is_variable;

/// The most variables of one file.
const VARIABLES_MAX: usize = 1_000;

/// Where a file is not understood. What is written there is not repeated: it may be a secret.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("line {line} {what}")]
pub struct NotUnderstood {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub what: &'static str,
}

/// Reads a file's text: names and values in its order.
///
/// # Errors
/// [`NotUnderstood`] names the first line that is not.
pub fn parse(text: &str) -> Result<Vec<(String, String)>, NotUnderstood> {
    let mut reader = Reader { rest: text.strip_prefix('\u{feff}').unwrap_or(text), line: 1 };
    let mut variables = Vec::new();
    while !reader.rest.is_empty() {
        let begin = reader.rest.trim_start_matches([' ', '\t']);
        if begin.is_empty() || begin.starts_with(['\n', '\r', '#']) {
            reader.next_line();
            continue;
        }
        if variables.len() == VARIABLES_MAX {
            return Err(reader.wrong("is one too many: a file has at most 1000 variables"));
        }
        variables.push(reader.variable(begin)?);
    }
    Ok(variables)
}

struct Reader<'a> {
    rest: &'a str,
    line: usize,
}

impl<'a> Reader<'a> {
    fn wrong(&self, what: &'static str) -> NotUnderstood {
        NotUnderstood { line: self.line, what }
    }

    /// What is left of the line, without its end; the reader is on the next one then.
    fn next_line(&mut self) -> &'a str {
        let (line, rest) = self.rest.split_once('\n').unwrap_or((self.rest, ""));
        self.rest = rest;
        self.line += 1;
        line.strip_suffix('\r').unwrap_or(line)
    }

    fn variable(&mut self, begin: &'a str) -> Result<(String, String), NotUnderstood> {
        let end = begin.find('\n').unwrap_or(begin.len());
        let equals = begin[..end].find('=').ok_or_else(|| self.wrong("has no `=`"))?;
        let written = begin[..equals].trim();
        let name = written.strip_prefix("export ").map_or(written, str::trim_start);
        if !is_variable(name) {
            return Err(self.wrong("has a name that is none of a variable: letters, digits and _ make one"));
        }
        self.rest = begin[equals + 1..].trim_start_matches([' ', '\t']);
        let value = match self.rest.as_bytes().first() {
            Some(b'\'') => self.quoted('\'')?,
            Some(b'"') => self.quoted('"')?,
            _ => plain(self.next_line()).to_owned(),
        };
        if value.contains('\0') {
            return Err(self.wrong("is before a value with a NUL byte"));
        }
        Ok((name.to_owned(), value))
    }

    fn quoted(&mut self, quote: char) -> Result<String, NotUnderstood> {
        let unclosed = self.wrong("begins a value in quotes that are never closed");
        let mut value = String::new();
        let mut characters = self.rest.char_indices().skip(1);
        while let Some((at, character)) = characters.next() {
            match character {
                _ if character == quote => {
                    self.line += self.rest[..at].matches('\n').count();
                    self.rest = &self.rest[at + 1..];
                    let after = self.rest.split('\n').next().unwrap_or_default().trim();
                    if !after.is_empty() && !after.starts_with('#') {
                        return Err(self.wrong("has something behind the closing quote"));
                    }
                    self.next_line();
                    return Ok(value);
                }
                '\\' if quote == '"' => match characters.next() {
                    Some((_, 'n')) => value.push('\n'),
                    Some((_, 'r')) => value.push('\r'),
                    Some((_, 't')) => value.push('\t'),
                    Some((_, itself @ ('"' | '\\' | '$' | '`'))) => value.push(itself),
                    Some((_, other)) => value.extend(['\\', other]),
                    None => return Err(unclosed),
                },
                _ => value.push(character),
            }
        }
        Err(unclosed)
    }
}

/// A value without quotes: up to a comment.
fn plain(line: &str) -> &str {
    let comment = line
        .char_indices()
        .find(|(at, character)| *character == '#' && (*at == 0 || line[..*at].ends_with([' ', '\t'])));
    line[..comment.map_or(line.len(), |(at, _)| at)].trim()
}

#[cfg(test)]
mod tests {
    use proptest::proptest;

    use super::parse;

    fn value(text: &str) -> String {
        let read = parse(text).unwrap_or_else(|error| panic!("{text:?}: {error}"));
        assert_eq!((read.len(), read[0].0.as_str()), (1, "A"), "{text:?}");
        read[0].1.clone()
    }

    #[test]
    fn a_line_is_read_as_other_programs_read_it() {
        for (text, wanted) in [
            ("A=", ""),
            ("A=1", "1"),
            ("  export A = 1 2  \r\n", "1 2"),
            ("\u{feff}A=x#y # comment", "x#y"),
            ("A=# comment", ""),
            ("A=p@ss=w$rd\"'", "p@ss=w$rd\"'"),
            ("A='a\\n\"${B}' # comment", "a\\n\"${B}"),
            ("A=\"a\\n\\\"\\$\\\\ \\d\"", "a\n\"$\\ \\d"),
            ("# first\n\n\t\nA=\"-----BEGIN\nkey\n-----END\"\n", "-----BEGIN\nkey\n-----END"),
            ("A=ä", "ä"),
        ] {
            assert_eq!(value(text), wanted, "{text:?}");
        }
    }

    #[test]
    fn several_lines_keep_their_order() {
        let read = parse("A=1\nB='x\ny'\nA=2\n").unwrap();
        let pairs: Vec<(&str, &str)> = read.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(pairs, [("A", "1"), ("B", "x\ny"), ("A", "2")]);
    }

    #[test]
    fn what_is_wrong_is_told_by_line_and_never_by_what_is_written() {
        for (text, told) in [
            ("A=1\nhunter2", "line 2 has no `=`"),
            ("A=1\n\n1hunter2=x", "line 3 has a name that is none of a variable: letters, digits and _ make one"),
            ("A='x\ny'\nB=\"hunter2\n\n", "line 3 begins a value in quotes that are never closed"),
            ("A='1\n2' hunter2", "line 2 has something behind the closing quote"),
            ("A=a\0b", "line 2 is before a value with a NUL byte"),
        ] {
            assert_eq!(parse(text).unwrap_err().to_string(), told, "{text:?}");
        }
        let many: String = (0..1_001).map(|number| format!("A{number}=1\n")).collect();
        assert_eq!(parse(&many).unwrap_err().line, 1_001);
    }

    proptest! {
        #[test]
        fn no_text_is_too_odd_to_be_answered(text in "(A=|[ '\"\\\\#\n\r=$]|é|[a-z]){0,60}") {
            let _answered = parse(&text);
        }

        #[test]
        fn what_is_quoted_comes_back(value in "[^'\0]{0,40}") {
            assert_eq!(parse(&format!("A='{value}'")).unwrap()[0].1, value);
        }
    }
}
