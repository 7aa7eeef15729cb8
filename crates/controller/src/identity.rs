//! Identities made by chance: of a journal when its first term begins, of a controller at each start.

use sha2::{Digest as _, Sha256};

/// A text of 36 characters that nobody else has: the kernel's random UUID. Where that cannot be read, a hash of what differs from process to
/// process and from moment to moment.
#[must_use]
pub fn by_chance() -> String {
    let kernel = std::fs::read_to_string("/proc/sys/kernel/random/uuid");
    kernel.map(|text| text.trim().to_owned()).ok().filter(|text| text.len() == 36).unwrap_or_else(by_moment)
}

fn by_moment() -> String {
    let now = jiff::Timestamp::now().as_nanosecond();
    let mut hasher = Sha256::new();
    hasher.update(now.to_be_bytes());
    hasher.update(std::process::id().to_be_bytes());
    hasher.update(std::thread::current().name().unwrap_or_default());
    let mut text = gapless_model::Digest(hasher.finalize().into()).to_string();
    text.truncate(36);
    text
}

#[cfg(test)]
mod tests {
    use gapless_model::ControllerId;

    #[test]
    fn two_identities_differ_and_can_be_a_controllers() {
        let (a, b) = (super::by_chance(), super::by_chance());
        assert_ne!(a, b);
        assert!(ControllerId::new(&a).is_ok() && ControllerId::new(&super::by_moment()).is_ok());
    }
}
