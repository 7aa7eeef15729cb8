//! Byte chunks become lines of bounded length.

/// A line's bytes beyond this are dropped (and the line marked): a longer line is recognised by its beginning.
pub const LINE_BYTES_MAX: usize = 16 * 1024;

/// Splits a stream into lines, wherever the chunks are cut. Ends at `\n`; a `\r` before it belongs to the end.
#[derive(Debug, Default)]
pub struct Lines {
    carry: Vec<u8>,
    cut: bool,
}

impl Lines {
    /// Takes a chunk and calls back with each line that is complete: (line without its end, whether it was cut).
    #[inline]
    pub fn push(&mut self, chunk: &[u8], mut each: impl FnMut(&[u8], bool)) {
        let mut from = 0;
        for newline in memchr::memchr_iter(b'\n', chunk) {
            let piece = &chunk[from..newline];
            from = newline + 1;
            if self.carry.is_empty() && !self.cut {
                let cut = piece.len() > LINE_BYTES_MAX;
                each(without_return(&piece[..piece.len().min(LINE_BYTES_MAX)]), cut);
            } else {
                self.keep(piece);
                each(without_return(&self.carry), self.cut);
                self.carry.clear();
                self.cut = false;
            }
        }
        self.keep(&chunk[from..]);
    }

    /// Ends the stream: a last line without an end counts as one.
    pub fn finish(&mut self, mut each: impl FnMut(&[u8], bool)) {
        if !self.carry.is_empty() {
            each(without_return(&self.carry), self.cut);
        }
        self.carry.clear();
        self.cut = false;
    }

    fn keep(&mut self, piece: &[u8]) {
        let room = LINE_BYTES_MAX - self.carry.len();
        self.carry.extend_from_slice(&piece[..piece.len().min(room)]);
        self.cut |= piece.len() > room;
    }
}

fn without_return(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(chunks: &[&[u8]]) -> Vec<(usize, bool)> {
        let mut lines = Lines::default();
        let mut found = Vec::new();
        for chunk in chunks {
            lines.push(chunk, |line, cut| found.push((line.len(), cut)));
        }
        lines.finish(|line, cut| found.push((line.len(), cut)));
        found
    }

    #[test]
    fn cuts_between_chunks_do_not_matter() {
        assert_eq!(lines(&[b"ab\ncd\r\n\nef"]), lines(&[b"a", b"b\nc", b"d\r", b"\n", b"\ne", b"f"]));
        assert_eq!(lines(&[b"ab\ncd\r\n\nef"]), [(2, false), (2, false), (0, false), (2, false)]);
        assert_eq!(lines(&[]), []);
    }

    #[test]
    fn a_line_of_ten_megabytes_is_cut_and_the_next_one_is_whole() {
        let mut chunk = vec![b'x'; 10 << 20];
        chunk.extend_from_slice(b"\nnext\n");
        let expected = [(LINE_BYTES_MAX, true), (4, false)];
        assert_eq!(lines(&[&chunk]), expected);
        let pieces: Vec<&[u8]> = chunk.chunks(4096).collect();
        assert_eq!(lines(&pieces), expected);
    }
}
