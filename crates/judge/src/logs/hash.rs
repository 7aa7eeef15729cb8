//! The hashes of the hot path: a multiply-and-fold hash of bytes, and a hasher that passes such hashes through.
//!
//! Not for adversaries: who can choose log lines freely can make two shapes collide and so hide one behind the other. It
//! is fixed, not seeded, because equal lines must be equal everywhere.

use std::hash::{BuildHasherDefault, Hasher};

const FIRST: u64 = 0x9e37_79b9_7f4a_7c15;
const SECOND: u64 = 0xd6e8_feb8_6659_fd93;

/// Mixes two words into one: the folded 128-bit product (the step of wyhash).
#[inline(always)]
pub fn mix(left: u64, right: u64) -> u64 {
    let product = u128::from(left ^ FIRST) * u128::from(right ^ SECOND);
    (product as u64) ^ ((product >> 64) as u64)
}

/// Hashes bytes, eight at a time; the length takes part.
#[inline]
pub fn hash_bytes(bytes: &[u8]) -> u64 {
    let mut hash = bytes.len() as u64;
    let mut chunks = bytes.chunks_exact(8);
    for chunk in &mut chunks {
        let mut word = [0_u8; 8];
        word.copy_from_slice(chunk);
        hash = mix(hash, u64::from_le_bytes(word));
    }
    let rest = chunks.remainder();
    if rest.is_empty() {
        return hash;
    }
    let mut last = 0_u64;
    for &byte in rest {
        last = last << 8 | u64::from(byte);
    }
    mix(hash, last)
}

/// Takes a key that is a hash already as its own hash.
#[derive(Default, Clone, Copy)]
pub struct PassThrough(u64);

impl Hasher for PassThrough {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        self.0 = mix(self.0, hash_bytes(bytes));
    }
    fn write_u64(&mut self, value: u64) {
        self.0 = value;
    }
}

/// A map whose keys are hashes.
pub type HashKeyed<V> = std::collections::HashMap<u64, V, BuildHasherDefault<PassThrough>>;
