//! A table document with its checksum.
//!
//! The checksum is the SHA-256 of the document as canonical JSON (keys sorted, no white space, the key `checksum` left out). It covers
//! keys that the reader does not know, and does not depend on how the file is laid out.

use std::fmt::Write as _;

use gapless_model::ControllerId;
use gapless_routing::TableSpec;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::convert::DocInvalid;
use super::table::TableDoc;

/// The key that holds the checksum.
const KEY: &str = "checksum";

/// The key that names the controller that published the table: a proxy that starts again from its disk obeys that one, and no other of
/// the same epoch.
const CONTROLLER: &str = "controller";

/// A table document as it came, or as it goes: unknown keys are kept.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SealedTable(Value);

/// Why a document is no table.
#[derive(Debug, thiserror::Error)]
pub enum SealBroken {
    /// It has no checksum.
    #[error("the table has no checksum")]
    Missing,
    /// Its checksum is another: it was damaged or changed.
    #[error("the table does not match its checksum")]
    Mismatch,
    /// It is not the JSON of a table.
    #[error("the table is not the JSON of a table")]
    Json(#[from] serde_json::Error),
    /// It holds a value that cannot be.
    #[error("the table holds a value that cannot be")]
    Value(#[from] DocInvalid),
}

impl SealedTable {
    /// The document of a table, with its checksum.
    ///
    /// # Errors
    /// As JSON's; none for a table of this crate.
    pub fn seal(spec: &TableSpec) -> Result<SealedTable, SealBroken> {
        SealedTable::seal_by(spec, None)
    }

    /// As [`SealedTable::seal`], with the controller that publishes it.
    ///
    /// # Errors
    /// As [`SealedTable::seal`].
    pub fn seal_by(spec: &TableSpec, controller: Option<&ControllerId>) -> Result<SealedTable, SealBroken> {
        let mut value = serde_json::to_value(TableDoc::from(spec))?;
        if let (Value::Object(keys), Some(controller)) = (&mut value, controller) {
            keys.insert(CONTROLLER.into(), controller.as_str().into());
        }
        let checksum = checksum(&value);
        if let Value::Object(keys) = &mut value {
            keys.insert(KEY.into(), checksum.into());
        }
        Ok(SealedTable(value))
    }

    /// The controller that published it, where it says so.
    #[must_use]
    pub fn controller(&self) -> Option<ControllerId> {
        self.0.get(CONTROLLER).and_then(Value::as_str).and_then(|text| ControllerId::new(text).ok())
    }

    /// What was written by [`SealedTable::to_bytes`], or by hand.
    ///
    /// # Errors
    /// [`SealBroken::Json`] when it is no JSON at all.
    pub fn from_bytes(bytes: &[u8]) -> Result<SealedTable, SealBroken> {
        Ok(SealedTable(serde_json::from_slice(bytes)?))
    }

    /// The document as a file's contents.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = self.0.to_string().into_bytes();
        bytes.push(b'\n');
        bytes
    }

    /// The table, if the checksum is right.
    ///
    /// # Errors
    /// [`SealBroken`] says what is wrong.
    pub fn open(&self) -> Result<TableSpec, SealBroken> {
        let sealed = self.0.get(KEY).and_then(Value::as_str).ok_or(SealBroken::Missing)?;
        if sealed != checksum(&self.0) {
            return Err(SealBroken::Mismatch);
        }
        self.open_unsealed()
    }

    /// The table, whatever the checksum: for a file that a person wrote.
    ///
    /// # Errors
    /// [`SealBroken::Json`] or [`SealBroken::Value`].
    pub fn open_unsealed(&self) -> Result<TableSpec, SealBroken> {
        let doc: TableDoc = TableDoc::deserialize(&self.0)?;
        Ok(TableSpec::try_from(&doc)?)
    }
}

fn checksum(value: &Value) -> String {
    let mut text = String::new();
    canonical(value, Depth::Top, &mut text);
    let mut hex = String::with_capacity(64);
    for byte in Sha256::digest(text.as_bytes()) {
        let _ = write!(hex, "{byte:02x}"); // writing to a string cannot fail
    }
    hex
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Depth {
    Top,
    Inner,
}

/// Canonical JSON, without relying on the order in which a map of `serde_json` happens to keep its keys.
fn canonical(value: &Value, depth: Depth, text: &mut String) {
    match value {
        Value::Object(keys) => {
            let mut keys: Vec<_> = keys.iter().filter(|(key, _)| depth == Depth::Inner || *key != KEY).collect();
            keys.sort_by_key(|(key, _)| *key);
            text.push('{');
            for (key, value) in keys {
                let _ = write!(text, "{}:", Value::from(key.as_str()));
                canonical(value, Depth::Inner, text);
                text.push(',');
            }
            text.push('}');
        }
        Value::Array(items) => {
            text.push('[');
            for item in items {
                canonical(item, Depth::Inner, text);
                text.push(',');
            }
            text.push(']');
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            let _ = write!(text, "{value}");
        }
    }
}
