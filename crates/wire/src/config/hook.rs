//! What `[release]` and `[[hook]]` mean.

use gapless_model::{Hook, HookPoint};

use super::error::Fault;
use super::read::{Group, Written};

/// How many hooks a release may have.
const HOOKS_MAX: usize = 32;

/// The release command, where there is one, and the hooks in the order in which they are written.
pub(super) fn hooks_of(written: &Written, faults: &mut Vec<Fault>) -> Vec<Hook> {
    let groups = written.many("hook");
    if let Some(group) = groups.get(HOOKS_MAX) {
        let what = format!("{} hooks, of which there may be {HOOKS_MAX}", groups.len());
        faults.push(Fault::new(what).at(group.at("at")).hint("let one command do what several do"));
    }
    let release = written.one("release");
    let command = release.texts("command").map(|command| Hook {
        name: "release command".to_owned(),
        point: HookPoint::Release,
        command,
        timeout: release.duration("timeout").unwrap_or_default(),
    });
    if command.is_none() && release.is_written("timeout") {
        let fault = Fault::new("`release.timeout` means something only with a command").at(release.at("timeout"));
        faults.push(fault.hint("write release.command, or remove it"));
    }
    command.into_iter().chain(groups.iter().filter_map(hook_of)).collect()
}

fn hook_of(group: &Group) -> Option<Hook> {
    let command = group.texts("command")?;
    Some(Hook {
        name: group.text("name").or_else(|| command.first().cloned())?,
        point: group.word("at")?.parse().ok()?,
        timeout: group.duration("timeout").unwrap_or_default(),
        command,
    })
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use gapless_model::{HookPoint, Millis, ProbeKind};

    use crate::config::parse_service_config;

    const LEAST: &str = "service = \"shop\"\n[run]\ncommand = [\"./shop\"]\n";

    #[test]
    fn the_release_command_and_hooks_are_read_in_the_order_of_the_file() {
        let text = format!(
            "{LEAST}[release]\ncommand = [\"./migrate\"]\n[[hook]]\nat = \"on-done\"\ncommand = [\"./tell\"]\n\
             [[hook]]\nat = \"before-expose\"\nname = \"warm\"\ncommand = [\"./warm\"]\ntimeout = \"5s\"\n"
        );
        let hooks = parse_service_config(&text, "gapless.toml").unwrap().hooks;
        let told: Vec<_> = hooks.iter().map(|hook| (hook.point, hook.name.as_str(), hook.timeout)).collect();
        let expected = [
            (HookPoint::Release, "release command", Millis::from_secs(600)),
            (HookPoint::OnDone, "./tell", Millis::from_secs(60)),
            (HookPoint::BeforeExpose, "warm", Millis::from_secs(5)),
        ];
        assert_eq!(told, expected);
    }

    #[test]
    fn a_worker_has_no_route_and_one_that_is_written_is_refused() {
        let worker = format!("{LEAST}[health]\nprocess = true\n");
        let spec = parse_service_config(&worker, "gapless.toml").unwrap();
        assert_eq!((spec.probe.kind, spec.routes), (ProbeKind::Process, Vec::new()));
        let refused = parse_service_config(&format!("{worker}[[route]]\npath = \"/\"\n"), "gapless.toml").unwrap_err();
        expect![[r#"
            error: gapless.toml:7:1: a service whose health is its process alone has a route
            hint: remove the route of a worker, or ask what listens by `http` or `tcp`"#]]
        .assert_eq(&refused.to_string());
    }

    #[test]
    fn what_makes_no_hook_is_refused() {
        let text = format!(
            "{LEAST}[release]\ntimeout = \"5s\"\n[[hook]]\nat = \"before\"\ncommand = [\"./x\"]\n[[hook]]\nat = \"on-done\"\n"
        );
        let refused = parse_service_config(&text, "gapless.toml").unwrap_err();
        expect![[r#"
            error: gapless.toml:7:6: `hook.at` must be one of "before-start", "before-expose", "after-expose", "on-rollback", "on-done", found the text "before"
            hint: did you mean "before-start"?
            error: gapless.toml:10:1: `hook.command` is missing
            hint: write below [[hook]]: command = ["./purge", "{release}"]"#]].assert_eq(&refused.to_string());
    }
}
