//! Findings declared beforehand are reported and do not count against a release.

use gapless_judge::logs::{Caveat, CaveatScope};
use gapless_judge::replay::{Replay, Replayed, Until};
use std::fmt::Write as _;

/// A rollout in which the candidate alone writes a panic a minute.
fn panicking() -> String {
    let mut text = "{\"start\":\"rollout\",\"at\":0}\n".to_owned();
    for second in 0..600 {
        for (arm, instance, exposure) in [("current", "b1", 90), ("candidate", "c1", 10)] {
            let _ = writeln!(
                text,
                r#"{{"at":{second},"arm":"{arm}","instance":"{instance}","metric":"errors","exposure":{exposure},"events":0}}"#
            );
        }
        if second % 60 == 30 {
            let _ = writeln!(
                text,
                r#"{{"at":{second},"arm":"candidate","instance":"c1","log":"ERROR cache: warm-up panicked at the first entry"}}"#
            );
        }
    }
    text
}

fn judge(caveats: Vec<Caveat>, now_unix_s: i64) -> Replayed {
    let mut replay = Replay::new();
    panicking().lines().for_each(|line| replay.handle_line(line.as_bytes()));
    replay.set_caveats(caveats, now_unix_s);
    replay.finish(Until::End)
}

fn caveat() -> Caveat {
    Caveat {
        signature: "<*>warm-up panicked at <*>".into(),
        scope: CaveatScope::default(),
        reason: "caught and tried again".into(),
        expires_unix_s: Some(1_000),
    }
}

#[test]
fn a_panic_nobody_declared_rolls_back() {
    let replayed = judge(Vec::new(), 0);
    assert!(replayed.evidence.verdict.rolls_back(), "{}", replayed.evidence);
    assert_eq!(replayed.declared, []);
}

#[test]
fn a_declared_panic_is_reported_and_does_not_roll_back() {
    let replayed = judge(vec![caveat()], 999);
    assert!(!replayed.evidence.verdict.rolls_back(), "{}", replayed.evidence);
    assert_eq!(replayed.declared.len(), 1);
    assert_eq!(replayed.declared[0].reason, "caught and tried again");
    let log = &replayed.evidence.logs[0];
    assert!(log.declared && log.candidate == 10, "{log:?}");
}

#[test]
fn a_caveat_that_has_expired_or_is_about_something_else_changes_nothing() {
    assert!(judge(vec![caveat()], 1_000).evidence.verdict.rolls_back());
    let other = Caveat { scope: CaveatScope { logger: Some("db".into()), ..CaveatScope::default() }, ..caveat() };
    assert!(judge(vec![other], 0).evidence.verdict.rolls_back());
}
