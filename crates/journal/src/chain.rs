//! The hashes that tie what is stored together.
//!
//! Each record's hash covers its stream, sequence, kind, content and the *link* of the row before it. The link of a record is its own
//! hash. A snapshot's hash covers the link of the last record it stands for, and hands that link on: records after it hold on to
//! the same link as before, so a snapshot may be taken of any past point without rewriting what follows.
//!
//! Rows that vanish are found by the head of the stream (its last sequence and link), and heads and facts that vanish by the *sum*:
//! the exclusive or of the hashes of all heads and facts, kept in the one state row.

use sha2::{Digest as _, Sha256};

/// A SHA-256 hash.
pub(crate) type Hash = [u8; 32];

/// What comes before the first record.
pub(crate) const ORIGIN: Hash = [0; 32];

/// The end of a stream.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Head {
    /// The sequence of the last row.
    pub(crate) last: u64,
    /// The link of the last row.
    pub(crate) link: Hash,
    /// The sequence of the snapshot the stream begins with; 0 when it begins with record 1.
    pub(crate) base: u64,
    /// The hash of that snapshot; [`ORIGIN`] without.
    pub(crate) base_hash: Hash,
}

impl Head {
    /// A stream without records.
    pub(crate) const EMPTY: Head = Head { last: 0, link: ORIGIN, base: 0, base_hash: ORIGIN };

    /// The hash of the head, for the sum.
    pub(crate) fn hash(&self, stream: &str) -> Hash {
        hash(
            "head",
            &[stream.as_bytes(), &self.last.to_be_bytes(), &self.link, &self.base.to_be_bytes(), &self.base_hash],
        )
    }
}

/// What a row's hash covers.
pub(crate) struct Row<'a> {
    pub(crate) stream: &'a str,
    pub(crate) sequence: u64,
    pub(crate) snapshot: bool,
    pub(crate) kind: &'a str,
    pub(crate) bytes: &'a [u8],
    pub(crate) previous: &'a Hash,
}

impl Row<'_> {
    /// The hash of the row.
    pub(crate) fn hash(&self) -> Hash {
        let domain = if self.snapshot { "snapshot" } else { "record" };
        let parts =
            [self.stream.as_bytes(), &self.sequence.to_be_bytes(), self.kind.as_bytes(), self.bytes, self.previous];
        hash(domain, &parts)
    }
}

/// The hash of a fact.
pub(crate) fn fact(table: &str, key: &str, bytes: &[u8]) -> Hash {
    hash("fact", &[table.as_bytes(), key.as_bytes(), bytes])
}

/// The hash of the state row.
pub(crate) fn state(commits: u64, epoch: u64, sum: &Hash) -> Hash {
    hash("state", &[&commits.to_be_bytes(), &epoch.to_be_bytes(), sum])
}

/// SHA-256 over a domain and parts, each with its length before it so that no two lists of parts look alike.
pub(crate) fn hash(domain: &str, parts: &[&[u8]]) -> Hash {
    let mut hasher = Sha256::new();
    for part in std::iter::once(domain.as_bytes()).chain(parts.iter().copied()) {
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part);
    }
    hasher.finalize().into()
}

/// Adds a hash to a sum, or takes it out again: the same act.
pub(crate) fn toggle(sum: &mut Hash, hash: &Hash) {
    sum.iter_mut().zip(hash).for_each(|(byte, other)| *byte ^= other);
}
