//! What the directory of a zip archive says that the library does not: how many entries there are before they are all read, and the mode
//! bits that it clears.
//!
//! The layout is that of PKWARE's APPNOTE 6.3.10, 4.3.12 (central directory), 4.3.14 to 4.3.16 (its end).

use std::io::{self, Read, Seek, SeekFrom};

/// The end of the directory without its comment.
const END_BYTES: u64 = 22;
/// The longest comment.
const COMMENT_BYTES_MAX: u64 = 0xffff;
/// The locator of the end of the large form, right before the end.
const LOCATOR_BYTES: usize = 20;
const END: &[u8; 4] = b"PK\x05\x06";
const LOCATOR: &[u8; 4] = b"PK\x06\x07";
const LARGE_END: &[u8; 4] = b"PK\x06\x06";
const ENTRY: &[u8; 4] = b"PK\x01\x02";

/// How many entries the archive says it has; none where it has no end.
pub(super) fn entries(file: &mut (impl Read + Seek)) -> io::Result<Option<u64>> {
    let length = file.seek(SeekFrom::End(0))?;
    let start = length.saturating_sub(END_BYTES + COMMENT_BYTES_MAX + LOCATOR_BYTES as u64);
    file.seek(SeekFrom::Start(start))?;
    let mut tail = Vec::new();
    file.read_to_end(&mut tail)?;
    let Some(end) = memchr::memmem::rfind(&tail, END) else { return Ok(None) };
    let Some(short) = u16_at(&tail, end + 10) else { return Ok(None) };
    let locator = end.checked_sub(LOCATOR_BYTES).filter(|at| tail[*at..].starts_with(LOCATOR));
    let Some(large_end) = locator.and_then(|at| u64_at(&tail, at + 8)) else { return Ok(Some(u64::from(short))) };
    file.seek(SeekFrom::Start(large_end))?;
    let mut large = [0; 56];
    match file.read_exact(&mut large) {
        Ok(()) if large.starts_with(LARGE_END) => Ok(u64_at(&large, 32)),
        // Something stands before the archive, so that its own offsets do not hold; the library finds out.
        Ok(()) => Ok(Some(u64::from(short))),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(error),
    }
}

/// Calls with the name and the Unix mode of each entry, as they stand in the directory that begins at `start`.
pub(super) fn modes<E: From<io::Error>>(
    file: &mut (impl Read + Seek),
    start: u64,
    mut each: impl FnMut(&[u8], u32) -> Result<(), E>,
) -> Result<(), E> {
    file.seek(SeekFrom::Start(start))?;
    let mut entry = [0; 46];
    loop {
        file.read_exact(&mut entry[..4])?;
        if entry[..4] != *ENTRY {
            return Ok(());
        }
        file.read_exact(&mut entry[4..])?;
        let length = |at| usize::from(u16_at(&entry, at).unwrap_or(0));
        let mut rest = vec![0; length(28) + length(30) + length(32)];
        file.read_exact(&mut rest)?;
        // The upper half of the external attributes, whichever system the archive says it was made on.
        let mode = u16_at(&entry, 40).unwrap_or(0);
        each(&rest[..length(28)], u32::from(mode))?;
    }
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    #[test]
    fn no_bytes_make_it_panic() {
        let mut state = 7_u64;
        for length in 0..300 {
            let mut bytes: Vec<u8> = Vec::new();
            while bytes.len() < length {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                match state >> 60 {
                    0 => bytes.extend(END),
                    1 => bytes.extend(LOCATOR),
                    2 => bytes.extend(LARGE_END),
                    3 => bytes.extend(ENTRY),
                    _ => bytes.push((state >> 40) as u8),
                }
            }
            let _any = entries(&mut Cursor::new(&bytes));
            let _any = modes(&mut Cursor::new(&bytes), 0, |_, _| io::Result::Ok(()));
        }
    }
}
