//! The environment of an instance: complete in itself, so that a release runs tomorrow as it does today.
//!
//! Of the controller's own environment only what describes the machine is handed on; a variable that a person happened to have set when the controller
//! was started is no part of a release.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;

use gapless_probe::ProbeTarget;

use crate::driver::StartOrder;
use crate::keeper::replace;
use crate::sys;

/// What is handed on.
const HANDED_ON: [&str; 9] = ["PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR", "HOME", "USER", "LOGNAME"];
/// Where programs are searched for when the controller has no `PATH`.
const PATH_DEFAULT: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What a keeper has of the controller's environment: what programs are searched for by, and how text is read. It needs nothing else, and what a
/// keeper has could be read by whoever breaks out into it.
const OF_KEEPER: [&str; 4] = ["PATH", "LANG", "LC_ALL", "TZ"];

/// A keeper's whole environment.
pub(super) fn of_keeper() -> BTreeMap<String, String> {
    OF_KEEPER.iter().filter_map(|name| Some(((*name).to_owned(), std::env::var(name).ok()?))).collect()
}

/// What describes the machine, of the controller's environment.
pub(crate) fn of_machine() -> BTreeMap<String, String> {
    let mut environment = BTreeMap::from([("PATH".to_owned(), PATH_DEFAULT.to_owned())]);
    environment.extend(HANDED_ON.iter().filter_map(|name| Some(((*name).to_owned(), std::env::var(name).ok()?))));
    environment
}

impl StartOrder {
    /// The instance's whole environment: what describes the machine, above it the release's own, above that `PORT` and `GAPLESS_*`.
    #[must_use]
    pub fn environment(&self) -> BTreeMap<String, String> {
        let mut environment = of_machine();
        if let Some(user) = self.run.user.as_deref().and_then(|name| sys::user(name).ok().flatten()) {
            environment.insert("HOME".to_owned(), user.home);
            environment.insert("USER".to_owned(), user.name.clone());
            environment.insert("LOGNAME".to_owned(), user.name);
        }
        for (name, value) in &self.run.environment {
            environment.insert(name.clone(), replace(value, self.port, self.label.as_str()));
        }
        environment.extend([
            ("PORT".to_owned(), self.port.to_string()),
            ("GAPLESS_SERVICE".to_owned(), self.instance.service.to_string()),
            ("GAPLESS_RELEASE".to_owned(), self.label.to_string()),
            ("GAPLESS_INSTANCE".to_owned(), self.instance.to_string()),
        ]);
        environment
    }

    /// Whom probes of the instance ask, where it listens here, and where its release lies.
    #[must_use]
    pub fn probe_target(&self, address: SocketAddr, release: &Path) -> ProbeTarget {
        ProbeTarget {
            address,
            environment: self.environment(),
            folder: release.join(&self.run.folder),
            label: self.label.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::process::fixture;

    #[test]
    fn the_release_cannot_take_the_place_of_what_gapless_says() {
        let mut order = fixture::order("shop.r1.i1", 4000, &["true"]);
        order.run.environment.insert("PORT".into(), "1".into());
        order.run.environment.insert("URL".into(), "http://x:{port}/{release}".into());
        order.run.environment.insert("LANG".into(), "C".into());
        let environment = order.environment();
        assert_eq!(environment["PORT"], "4000");
        assert_eq!(environment["URL"], "http://x:4000/1.0");
        assert_eq!(environment["LANG"], "C");
        assert_eq!(environment["GAPLESS_INSTANCE"], "shop.r1.i1");
        assert!(!environment.contains_key("CARGO_MANIFEST_DIR"), "what happened to be set is not handed on");
    }
}
