//! Known caveats: findings an operator has declared in advance, so that they are reported but never counted against a release.

use super::{Severity, Signature, SignatureId};
use serde::{Deserialize, Serialize};

/// A declared finding: which signature, where it holds, why, and until when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Caveat {
    /// The id of the signature (16 hexadecimal digits), or its template; in a template `<*>` matches any run of words.
    pub signature: String,
    /// Narrows it; everything by default.
    #[serde(default)]
    pub scope: CaveatScope,
    /// Why this is no reason against a release. Shown wherever the caveat is used.
    pub reason: String,
    /// Seconds since 1970-01-01 UTC from which on the caveat holds no more; `None`: for as long as the manifest names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_unix_s: Option<i64>,
}

/// Where a caveat holds. Empty fields do not narrow.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CaveatScope {
    /// Only lines of this logger.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logger: Option<String>,
    /// Only lines up to this severity.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub severity_max: Option<Severity>,
    /// Only lines with this exception class.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exception: Option<String>,
}

impl Caveat {
    /// Whether the caveat covers this signature at this time (seconds since 1970-01-01 UTC).
    pub fn covers(&self, signature: &Signature, now_unix_s: i64) -> bool {
        if self.expires_unix_s.is_some_and(|end| now_unix_s >= end) {
            return false;
        }
        let scope = &self.scope;
        if scope.logger.is_some() && scope.logger != signature.logger
            || scope.exception.is_some() && scope.exception != signature.exception
            || scope.severity_max.is_some_and(|max| signature.severity.is_some_and(|severity| severity > max))
        {
            return false;
        }
        match parse_id(&self.signature) {
            Some(id) => id == signature.id(),
            None => template_matches(&self.signature, &signature.template),
        }
    }
}

fn parse_id(text: &str) -> Option<SignatureId> {
    let sixteen = text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    sixteen.then(|| u64::from_str_radix(text, 16).ok().map(SignatureId)).flatten()
}

/// Glob match with `<*>` as the only wildcard; linear, remembers only the last wildcard.
fn template_matches(pattern: &str, template: &str) -> bool {
    let pieces: Vec<&str> = pattern.split("<*>").collect();
    let [first, middle @ .., last] = &pieces[..] else { return pattern == template };
    let Some(mut rest) = template.strip_prefix(first) else { return false };
    for piece in middle {
        match rest.find(piece) {
            Some(at) => rest = &rest[at + piece.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caveat(signature: &str) -> Caveat {
        Caveat {
            signature: signature.into(),
            scope: CaveatScope::default(),
            reason: "known".into(),
            expires_unix_s: None,
        }
    }

    fn signature() -> Signature {
        Signature {
            severity: Some(Severity::Error),
            logger: Some("db".into()),
            exception: None,
            template: "could not reach <*> after <*> tries".into(),
        }
    }

    #[test]
    fn a_template_and_an_id_both_name_the_signature() {
        assert!(caveat("could not reach <*> after <*> tries").covers(&signature(), 0));
        assert!(caveat("could not <*> tries").covers(&signature(), 0));
        assert!(!caveat("could not <*> try").covers(&signature(), 0));
        assert!(caveat(&signature().id().to_string()).covers(&signature(), 0));
    }

    #[test]
    fn scope_and_expiry_narrow_it() {
        let mut narrowed = caveat("could not <*> tries");
        narrowed.scope.severity_max = Some(Severity::Warn);
        assert!(!narrowed.covers(&signature(), 0));
        narrowed.scope = CaveatScope { logger: Some("db".into()), ..CaveatScope::default() };
        narrowed.expires_unix_s = Some(100);
        assert!(narrowed.covers(&signature(), 99));
        assert!(!narrowed.covers(&signature(), 100));
    }
}
