//! The environment of an instance: complete in itself, so that a release runs tomorrow as it does today.
//!
//! Of the controller's own environment only what describes the machine is handed on; a variable that a person happened to have set when the controller
//! was started is no part of a release.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;

use gapless_model::{ProbeKind, expand};
use gapless_probe::ProbeTarget;

use crate::driver::StartOrder;
use crate::keeper::replace;
use crate::sources::{SourceError, Sourced};
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

/// What describes the machine, of the controller's environment. A service manager may give a controller neither `PATH` nor `HOME`.
pub(crate) fn of_machine() -> BTreeMap<String, String> {
    let mut environment = BTreeMap::from([("PATH".to_owned(), PATH_DEFAULT.to_owned())]);
    environment.extend(HANDED_ON.iter().filter_map(|name| Some(((*name).to_owned(), std::env::var(name).ok()?))));
    if !environment.contains_key("HOME")
        && let Some(home) = sys::own_home()
    {
        environment.insert("HOME".to_owned(), home);
    }
    environment
}

impl StartOrder {
    /// The instance's whole environment: what describes the machine, above it what its sources say, the release's own, and `PORT` and `GAPLESS_*`.
    ///
    /// # Errors
    /// [`SourceError`].
    pub async fn environment(&self, release: &Path) -> Result<BTreeMap<String, String>, SourceError> {
        let declared = self.declared_environment();
        match Sourced::of(&self.run) {
            Some(sourced) => sourced.complete(declared, release).await,
            None => Ok(declared),
        }
    }

    /// The same without what is read from sources; `${NAME}` stands where that will be put in.
    pub(crate) fn declared_environment(&self) -> BTreeMap<String, String> {
        let mut environment = of_machine();
        if let Some(user) = self.run.user.as_deref().and_then(|name| sys::user(name).ok().flatten()) {
            environment.insert("HOME".to_owned(), user.home);
            environment.insert("USER".to_owned(), user.name.clone());
            environment.insert("LOGNAME".to_owned(), user.name);
        }
        for (name, value) in &self.run.environment {
            let mut value = replace(value, self.port, self.label.as_str());
            if self.run.sources.is_empty()
                && let Ok(plain) = expand(&value, |_| None)
            {
                // Of a release from before there were sources, `${NAME}` stays what it was.
                value = plain;
            }
            environment.insert(name.clone(), value);
        }
        environment.extend([
            ("GAPLESS_SERVICE".to_owned(), self.instance.service.to_string()),
            ("GAPLESS_RELEASE".to_owned(), self.label.to_string()),
            ("GAPLESS_INSTANCE".to_owned(), self.instance.to_string()),
        ]);
        // A variable of the release's own of that name would be believed.
        environment.remove("PORT");
        if self.port != StartOrder::NO_PORT {
            environment.insert("PORT".to_owned(), self.port.to_string());
        }
        environment
    }

    /// Whom probes of the instance ask, where it listens here, and where its release lies. The sources are read only for a probe that is a
    /// command.
    ///
    /// # Errors
    /// [`SourceError`].
    pub async fn probe_target(
        &self,
        kind: &ProbeKind,
        address: SocketAddr,
        release: &Path,
    ) -> Result<ProbeTarget, SourceError> {
        let environment = match kind {
            ProbeKind::Command { .. } => self.environment(release).await?,
            ProbeKind::Http { .. } | ProbeKind::Tcp | ProbeKind::Process => BTreeMap::new(),
        };
        Ok(ProbeTarget { address, environment, folder: release.join(&self.run.folder), label: self.label.to_string() })
    }

    /// What a command wrote, without the instance's secrets.
    #[must_use]
    pub fn masked(&self, text: &str, environment: &BTreeMap<String, String>) -> String {
        Sourced::of(&self.run).map_or_else(|| text.to_owned(), |sourced| sourced.masked(text, environment))
    }

    /// What an instance wrote, without its secrets. None where those cannot be read: then nobody can tell which of its words they are.
    pub async fn without_secrets(&self, lines: Vec<String>, release: &Path) -> Option<Vec<String>> {
        if self.run.sources.secrets.is_empty() {
            return Some(lines);
        }
        let environment = self.environment(release).await.ok()?;
        Some(lines.iter().map(|line| self.masked(line, &environment)).collect())
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
        let environment = order.declared_environment();
        assert_eq!(environment["PORT"], "4000");
        assert_eq!(environment["URL"], "http://x:4000/1.0");
        assert_eq!(environment["LANG"], "C");
        assert_eq!(environment["GAPLESS_INSTANCE"], "shop.r1.i1");
        assert!(!environment.contains_key("CARGO_MANIFEST_DIR"), "what happened to be set is not handed on");
    }
}
