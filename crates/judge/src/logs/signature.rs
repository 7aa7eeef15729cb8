//! A signature: what is the same in all lines of one kind.

use super::Severity;
use serde::{Deserialize, Serialize};

/// Names a signature: a 64-bit hash of its severity, logger, exception class and template. Equal signatures have equal ids
/// on every machine and in every version that renders templates alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SignatureId(pub u64);

impl std::fmt::Display for SignatureId {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{:016x}", self.0)
    }
}

/// What is the same in all lines of one kind; `<*>` in the template stands for what differs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Signature {
    /// `None`: the line does not say.
    pub severity: Option<Severity>,
    /// Program, class or module that wrote it, numbers masked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logger: Option<String>,
    /// The class of the exception, error or panic in the line or in the stack trace folded into it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exception: Option<String>,
    /// The message with its variables as `<*>`.
    pub template: String,
}

impl Signature {
    /// The id: FNV-1a (64 bit) over the parts, each ended by a byte that no UTF-8 text holds.
    pub fn id(&self) -> SignatureId {
        let mut hash = 0xcbf2_9ce4_8422_2325_u64;
        let parts = [
            self.severity.map_or("", Severity::as_str),
            self.logger.as_deref().unwrap_or(""),
            self.exception.as_deref().unwrap_or(""),
            &self.template,
        ];
        for part in parts {
            for byte in part.bytes().chain([0xff]) {
                hash = (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
            }
        }
        SignatureId(hash)
    }

    /// Whether the line says that something failed: severity ERROR or above. An exception alone does not make it so,
    /// since programs log handled exceptions as INFO or WARN; without a severity it does.
    pub fn is_error(&self) -> bool {
        match self.severity {
            Some(severity) => severity >= Severity::Error,
            None => self.exception.is_some(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_counts_for_the_id() {
        let base = Signature { severity: None, logger: None, exception: None, template: "a".into() };
        let mut ids = vec![base.id()];
        ids.push(Signature { severity: Some(Severity::Info), ..base.clone() }.id());
        ids.push(Signature { logger: Some("a".into()), template: String::new(), ..base.clone() }.id());
        ids.push(Signature { exception: Some("a".into()), template: String::new(), ..base.clone() }.id());
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), 4);
    }
}
