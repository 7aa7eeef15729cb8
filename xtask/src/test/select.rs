//! Which suites `--only` means.

use std::convert::Infallible;
use std::str::FromStr;

use anyhow::bail;

use super::suite::Suite;

/// One word of `--only`: a suite or a group of them, and perhaps a part of the names of its tests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection {
    /// `proxy/drain`, or `proxy` for all of a group.
    pub suite: String,
    /// What stands behind the colon.
    pub filter: Option<String>,
}

impl FromStr for Selection {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        let (suite, filter) = text.split_once(':').map_or((text, None), |(suite, filter)| (suite, Some(filter)));
        Ok(Self { suite: suite.to_owned(), filter: filter.map(str::to_owned) })
    }
}

impl Selection {
    /// The group alone: `proxy` of `proxy/drain`.
    pub fn group(&self) -> &str {
        self.suite.split('/').next().unwrap_or_default()
    }

    /// The target alone: `drain` of `proxy/drain`.
    pub fn target(&self) -> Option<&str> {
        self.suite.split_once('/').map(|(_, target)| target)
    }

    fn means(&self, name: &str) -> bool {
        name == self.suite || (self.target().is_none() && name.split('/').next() == Some(self.group()))
    }
}

/// Whether anything of a group may be meant; without `--only` all of it is.
pub fn any_of(only: &[Selection], group: &str) -> bool {
    only.is_empty() || only.iter().any(|selection| selection.group() == group)
}

/// The suites that are meant, each with its filters. A word that means none is an error that lists what there is.
pub fn choose(all: Vec<Suite>, only: &[Selection]) -> anyhow::Result<Vec<Suite>> {
    if only.is_empty() {
        return Ok(all);
    }
    if let Some(unknown) = only.iter().find(|selection| !all.iter().any(|suite| selection.means(&suite.name))) {
        bail!("there is no suite {}\nhint: cargo xtask test --list", unknown.suite);
    }
    let mut chosen = Vec::new();
    for mut suite in all {
        let meant: Vec<&Selection> = only.iter().filter(|selection| selection.means(&suite.name)).collect();
        if meant.is_empty() {
            continue;
        }
        // One word without a filter means the whole suite, whatever others narrow.
        if meant.iter().all(|selection| selection.filter.is_some()) {
            suite.filters = meant.into_iter().filter_map(|selection| selection.filter.clone()).collect();
        }
        chosen.push(suite);
    }
    Ok(chosen)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(only: &str) -> Vec<String> {
        let only: Vec<Selection> = only.split(',').map(|word| word.parse().unwrap()).collect();
        let all = ["proxy/unit", "proxy/drain", "cli/e2e", "demo"].map(Suite::named).to_vec();
        let chosen = choose(all, &only).unwrap();
        chosen.into_iter().map(|suite| format!("{}{:?}", suite.name, suite.filters)).collect()
    }

    #[test]
    fn a_suite_a_crate_and_a_part_of_a_suite_can_be_selected() {
        assert_eq!(chosen("proxy/drain"), [r"proxy/drain[]"]);
        assert_eq!(chosen("proxy,demo"), ["proxy/unit[]", "proxy/drain[]", "demo[]"]);
        assert_eq!(chosen("cli/e2e:crash,cli/e2e:wrk"), [r#"cli/e2e["crash", "wrk"]"#]);
        assert_eq!(chosen("cli/e2e:crash,cli"), ["cli/e2e[]"]);
    }

    #[test]
    fn a_suite_that_does_not_exist_is_an_error() {
        let error = choose(vec![Suite::named("proxy/drain")], &["proxy/drian".parse().unwrap()]).unwrap_err();
        assert!(error.to_string().starts_with("there is no suite proxy/drian"), "{error}");
    }
}
