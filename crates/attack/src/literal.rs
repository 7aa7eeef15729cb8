//! Bytes as a case writes them: quoted, with escapes, and with repetitions so that a long line stays readable.

use anyhow::{Context, bail};

/// The longest that one literal may become, in bytes: a case is to be bounded like the load of any test.
const LENGTH_MAX: usize = 16 * 1024 * 1024;

/// Reads a literal from the beginning of `text`: the bytes and what stands behind it.
///
/// `\r`, `\n`, `\t`, `\0`, `\\`, `\"`, `\$` and `\xHH` are escapes; `${TEXT*COUNT}` stands for TEXT so many times.
pub fn read(text: &str) -> anyhow::Result<(Vec<u8>, &str)> {
    let inner = text.strip_prefix('"').context("a text in double quotes is expected")?;
    let mut bytes = Vec::new();
    let mut rest = inner;
    loop {
        let mut characters = rest.chars();
        match characters.next().context("the closing quote is missing")? {
            '"' => return Ok((bytes, characters.as_str())),
            '\\' => rest = escape(characters.as_str(), &mut bytes)?,
            '$' if characters.as_str().starts_with('{') => rest = repetition(&characters.as_str()[1..], &mut bytes)?,
            other => {
                bytes.extend_from_slice(other.encode_utf8(&mut [0; 4]).as_bytes());
                rest = characters.as_str();
            }
        }
        if bytes.len() > LENGTH_MAX {
            bail!("a text is longer than {LENGTH_MAX} bytes");
        }
    }
}

fn escape<'t>(text: &'t str, bytes: &mut Vec<u8>) -> anyhow::Result<&'t str> {
    let mut characters = text.chars();
    let byte = match characters.next().context("an escape is not whole")? {
        'r' => b'\r',
        'n' => b'\n',
        't' => b'\t',
        '0' => 0,
        'x' => {
            let digits = text.get(1..3).context("\\x wants two digits")?;
            bytes.push(u8::from_str_radix(digits, 16).context("\\x wants two hexadecimal digits")?);
            return Ok(&text[3..]);
        }
        same @ ('\\' | '"' | '$') => same as u8,
        other => bail!("`\\{other}` is no escape"),
    };
    bytes.push(byte);
    Ok(characters.as_str())
}

fn repetition<'t>(text: &'t str, bytes: &mut Vec<u8>) -> anyhow::Result<&'t str> {
    let (inner, rest) = text.split_once('}').context("`${` without `}`")?;
    let (what, count) = inner.rsplit_once('*').context("`${TEXT*COUNT}` wants a count")?;
    let count: usize = count.parse().context("`${TEXT*COUNT}` wants a count")?;
    let mut once = Vec::new();
    let mut left = what;
    while let Some(at) = left.find('\\') {
        once.extend_from_slice(&left.as_bytes()[..at]);
        left = escape(&left[at + 1..], &mut once)?;
    }
    once.extend_from_slice(left.as_bytes());
    if once.len().saturating_mul(count) > LENGTH_MAX {
        bail!("a text is longer than {LENGTH_MAX} bytes");
    }
    bytes.extend(once.repeat(count));
    Ok(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_and_repetitions_become_bytes_and_the_rest_is_kept() {
        let (bytes, rest) = read(r#""a\r\n\x00\"${xy\t*2}" and more"#).unwrap();
        assert_eq!(bytes, b"a\r\n\0\"xy\txy\t");
        assert_eq!(rest, " and more");
    }

    #[test]
    fn what_is_not_whole_or_too_long_is_refused() {
        for wrong in
            ["a", "\"a", r#""\q""#, r#""\x0"#, "\"${a*}\"", "\"${a\"", "\"${a*99999999999}\"", "\"${aa*9000000}\""]
        {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
