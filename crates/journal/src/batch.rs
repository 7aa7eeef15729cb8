//! What is changed at once.

use crate::{Sequence, StoreError};

/// The longest name of a stream or table, in bytes; names come from service names and constants.
pub const NAME_BYTES_MAX: usize = 128;
/// The longest key of a fact, in bytes.
pub const KEY_BYTES_MAX: usize = 512;
/// The largest record or fact, in bytes: a snapshot of a large fleet is some megabytes.
pub const VALUE_BYTES_MAX: usize = 64 << 20;
/// The most operations of one batch; a step of one service has tens.
pub const OPERATIONS_MAX: usize = 10_000;

/// One change.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Operation {
    /// A record at the end of a stream.
    Append {
        /// The stream.
        stream: String,
        /// The user's name for what the bytes are.
        kind: String,
        /// The content.
        bytes: Vec<u8>,
    },
    /// A snapshot in the place of all records of a stream up to and with `upto`.
    Snapshot {
        /// The stream.
        stream: String,
        /// The user's name for what the bytes are.
        kind: String,
        /// The content.
        bytes: Vec<u8>,
        /// The last record it stands for; not before the snapshot it follows, not after the last record.
        upto: Sequence,
    },
    /// A fact, new or in the place of the one that was there.
    Put {
        /// The table.
        table: String,
        /// The key.
        key: String,
        /// The value.
        bytes: Vec<u8>,
    },
    /// A fact's end; nothing when there is none.
    Delete {
        /// The table.
        table: String,
        /// The key.
        key: String,
    },
}

/// Changes that become durable together, in the order in which they were added.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Batch {
    operations: Vec<Operation>,
}

impl Batch {
    /// No change.
    #[must_use]
    pub fn new() -> Batch {
        Batch::default()
    }

    /// Adds a record at the end of a stream.
    pub fn append(
        &mut self,
        stream: impl Into<String>,
        kind: impl Into<String>,
        bytes: impl Into<Vec<u8>>,
    ) -> &mut Self {
        self.push(Operation::Append { stream: stream.into(), kind: kind.into(), bytes: bytes.into() })
    }

    /// Puts a snapshot in the place of all records up to and with `upto`.
    pub fn snapshot(
        &mut self,
        stream: impl Into<String>,
        kind: impl Into<String>,
        bytes: impl Into<Vec<u8>>,
        upto: Sequence,
    ) -> &mut Self {
        self.push(Operation::Snapshot { stream: stream.into(), kind: kind.into(), bytes: bytes.into(), upto })
    }

    /// Writes a fact.
    pub fn put(&mut self, table: impl Into<String>, key: impl Into<String>, bytes: impl Into<Vec<u8>>) -> &mut Self {
        self.push(Operation::Put { table: table.into(), key: key.into(), bytes: bytes.into() })
    }

    /// Removes a fact.
    pub fn delete(&mut self, table: impl Into<String>, key: impl Into<String>) -> &mut Self {
        self.push(Operation::Delete { table: table.into(), key: key.into() })
    }

    /// Adds a change.
    pub fn push(&mut self, operation: Operation) -> &mut Self {
        self.operations.push(operation);
        self
    }

    /// The changes in order.
    #[must_use]
    pub fn operations(&self) -> &[Operation] {
        &self.operations
    }

    /// Whether there is nothing to change.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.operations.is_empty()
    }

    /// Checks the bounds that hold for every store.
    pub(crate) fn check(&self) -> Result<(), StoreError> {
        if self.operations.len() > OPERATIONS_MAX {
            return Err(StoreError::Invalid(format!("{} changes in one batch", self.operations.len())));
        }
        self.operations.iter().try_for_each(check_operation)
    }
}

fn check_operation(operation: &Operation) -> Result<(), StoreError> {
    let (name, key, bytes) = match operation {
        Operation::Append { stream, kind, bytes } | Operation::Snapshot { stream, kind, bytes, .. } => {
            check_name(kind)?;
            (stream, None, bytes.len())
        }
        Operation::Put { table, key, bytes } => (table, Some(key), bytes.len()),
        Operation::Delete { table, key } => (table, Some(key), 0),
    };
    check_name(name)?;
    if let Some(key) = key
        && (key.is_empty() || key.len() > KEY_BYTES_MAX)
    {
        return Err(StoreError::Invalid(format!("a key of {} bytes", key.len())));
    }
    if bytes > VALUE_BYTES_MAX {
        return Err(StoreError::TooLarge { bytes });
    }
    Ok(())
}

fn check_name(name: &str) -> Result<(), StoreError> {
    if name.is_empty() || name.len() > NAME_BYTES_MAX || name.contains('\0') {
        return Err(StoreError::Invalid(format!("the name {:?}", name.chars().take(40).collect::<String>())));
    }
    Ok(())
}
