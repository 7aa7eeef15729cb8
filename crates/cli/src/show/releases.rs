//! The releases of a service.

use gapless_wire::api::{ReleaseRole, Releases};

use super::bytes;
use super::style::{Paint, Style};
use super::table::{Cell, Table};

/// What a release is to its service, in a word.
pub(super) fn role(role: ReleaseRole) -> &'static str {
    match role {
        ReleaseRole::Current => "current",
        ReleaseRole::Candidate => "candidate",
        ReleaseRole::Retiring => "retiring",
        ReleaseRole::Previous => "previous",
        ReleaseRole::Kept => "kept",
    }
}

/// The releases as a table, the newest first.
#[must_use]
pub fn text(releases: &Releases, style: Style) -> String {
    if releases.releases.is_empty() {
        return "no releases yet\n".to_owned();
    }
    let mut table = Table::new(&["LABEL", "ROLE", "INSTANCES", "REGISTERED", "SIZE", "DIGEST"]);
    for release in &releases.releases {
        let paint = if release.role == ReleaseRole::Current { Paint::Good } else { Paint::None };
        table.row(vec![
            release.label.clone().into(),
            Cell::painted(role(release.role), paint),
            release.instances.to_string().into(),
            release.registered_at.clone().into(),
            release.bytes.map(bytes).unwrap_or_default().into(),
            release.digest.chars().take(12).collect::<String>().into(),
        ]);
    }
    table.text("", style)
}
