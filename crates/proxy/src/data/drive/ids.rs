//! `X-Request-Id` values, and the chance that choices are made with.

use std::hash::{BuildHasher, RandomState};

/// Makes ids that no other thread and no other process makes: 64 random bits of the thread, then a count.
#[derive(Debug)]
pub(crate) struct RequestIds {
    text: [u8; 32],
    count: u64,
    chance: u64,
}

impl RequestIds {
    pub(crate) fn new() -> Self {
        let random = RandomState::new();
        let mut text = [0; 32];
        write_hex(&mut text[..16], random.hash_one(0u8));
        Self { text, count: 0, chance: random.hash_one(1u8) | 1 }
    }

    /// The next id, as 32 hexadecimal digits.
    #[inline]
    pub(crate) fn next(&mut self) -> &[u8] {
        self.count += 1;
        write_hex(&mut self.text[16..], self.count);
        &self.text
    }

    /// The id that was given last.
    pub(crate) fn last(&self) -> &[u8] {
        &self.text
    }

    /// 64 bits that look random (xorshift64*, Vigna 2016). Good for balancing, not for secrets.
    #[inline]
    pub(crate) fn chance(&mut self) -> u64 {
        self.chance ^= self.chance >> 12;
        self.chance ^= self.chance << 25;
        self.chance ^= self.chance >> 27;
        self.chance.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }
}

#[inline]
fn write_hex(out: &mut [u8], mut number: u64) {
    for digit in out.iter_mut().rev() {
        *digit = b"0123456789abcdef"[(number & 15) as usize];
        number >>= 4;
    }
}

#[cfg(test)]
mod tests {
    use super::RequestIds;

    #[test]
    fn ids_of_one_thread_differ_and_share_their_beginning() {
        let mut ids = RequestIds::new();
        let first = ids.next().to_vec();
        let second = ids.next().to_vec();
        assert_ne!(first, second);
        assert_eq!(first[..16], second[..16]);
        assert!(first.iter().all(u8::is_ascii_hexdigit));
    }
}
