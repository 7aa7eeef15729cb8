//! Where WebSocket frames begin (RFC 6455 §5.2), for ending a tunnel between two of them. Nothing is checked and nothing is
//! changed: what the two sides say is their affair.

/// Close 1012, "service restart" (IANA WebSocket Close Code Number Registry), as a server sends it.
pub(crate) const CLOSE_SERVICE_RESTART: &[u8] = &[0x88, 0x02, 0x03, 0xf4];

/// The same as a client sends it, masked with zeros.
pub(crate) const CLOSE_SERVICE_RESTART_MASKED: &[u8] = &[0x88, 0x82, 0, 0, 0, 0, 0x03, 0xf4];

/// The opcode of a Close.
const OPCODE_CLOSE: u8 = 0x8;

/// Follows the frames of one direction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Frames {
    /// Bytes of the header at hand, as far as they came.
    header: [u8; 14],
    have: usize,
    /// Bytes of the payload that are still to come.
    payload: u64,
    /// Whether a Close was among them.
    closed: bool,
}

impl Frames {
    pub(crate) fn new() -> Self {
        Self { header: [0; 14], have: 0, payload: 0, closed: false }
    }

    /// Whether the next byte begins a frame.
    pub(crate) fn is_at_boundary(&self) -> bool {
        self.have == 0 && self.payload == 0
    }

    /// Whether a Close frame has begun: whoever sends it ends the connection in order (RFC 6455 §7.1.4).
    pub(crate) fn has_closed(&self) -> bool {
        self.closed
    }

    /// Follows `bytes` to their end.
    pub(crate) fn advance(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while !rest.is_empty() {
            rest = &rest[self.step(rest)..];
        }
    }

    /// Follows `bytes` as far as the next boundary; returns how far that is, all of them if there is none.
    pub(crate) fn advance_to_boundary(&mut self, bytes: &[u8]) -> usize {
        let mut used = 0;
        while used < bytes.len() && !self.is_at_boundary() {
            used += self.step(&bytes[used..]);
        }
        used
    }

    /// Takes one byte of a header, or all there is of a payload.
    fn step(&mut self, bytes: &[u8]) -> usize {
        if self.payload > 0 {
            let taken = usize::try_from(self.payload).map_or(bytes.len(), |left| left.min(bytes.len()));
            self.payload -= taken as u64;
            return taken;
        }
        self.header[self.have] = bytes[0];
        self.have += 1;
        if self.have >= 2 && self.have == self.header_length() {
            self.payload = self.payload_length();
            self.closed |= self.header[0] & 0x0f == OPCODE_CLOSE;
            self.have = 0;
        }
        1
    }

    fn header_length(&self) -> usize {
        let extended = match self.header[1] & 0x7f {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        let mask = if self.header[1] & 0x80 == 0 { 0 } else { 4 };
        2 + extended + mask
    }

    fn payload_length(&self) -> u64 {
        let big_endian = |bytes: &[u8]| bytes.iter().fold(0u64, |sum, &byte| sum << 8 | u64::from(byte));
        match self.header[1] & 0x7f {
            126 => big_endian(&self.header[2..4]),
            127 => big_endian(&self.header[2..10]),
            short => u64::from(short),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{CLOSE_SERVICE_RESTART, CLOSE_SERVICE_RESTART_MASKED, Frames};

    #[test]
    fn a_close_is_seen_and_nothing_else_is_taken_for_one() {
        for close in [CLOSE_SERVICE_RESTART, CLOSE_SERVICE_RESTART_MASKED] {
            let mut frames = Frames::new();
            frames.advance(&frame(200, false));
            frames.advance(&[0x82, 2, 0x88, 0x88]);
            assert!(!frames.has_closed());
            frames.advance(close);
            assert!(frames.has_closed());
        }
    }

    fn frame(length: usize, masked: bool) -> Vec<u8> {
        let mask = if masked { 0x80 } else { 0 };
        let mut bytes = match length {
            0..=125 => vec![0x82, mask | length as u8],
            126..=65_535 => [&[0x82, mask | 126][..], &(length as u16).to_be_bytes()].concat(),
            _ => [&[0x82, mask | 127][..], &(length as u64).to_be_bytes()].concat(),
        };
        if masked {
            bytes.extend([1, 2, 3, 4]);
        }
        bytes.extend(std::iter::repeat_n(b'x', length));
        bytes
    }

    #[test]
    fn the_boundary_is_found_wherever_the_bytes_are_cut() {
        for length in [0, 1, 125, 126, 300, 70_000] {
            for masked in [false, true] {
                let bytes = frame(length, masked);
                for cut in [1, 2, 3, 5, bytes.len() - 1] {
                    let cut = cut.min(bytes.len() - 1);
                    let mut frames = Frames::new();
                    frames.advance(&bytes[..cut]);
                    assert!(!frames.is_at_boundary(), "{length} {masked} {cut}");
                    let next = [&bytes[cut..], &frame(7, masked)[..]].concat();
                    assert_eq!(frames.advance_to_boundary(&next), bytes.len() - cut, "{length} {masked} {cut}");
                    assert!(frames.is_at_boundary());
                }
            }
        }
    }
}
