//! The sections of `gapless.toml` about commands that run once: the release command and hooks.

use gapless_model::Millis;

use super::key::{Fallback, Key, Kind, Section};

const LONGEST: Millis = Millis::from_secs(86_400);

/// `[release]`.
pub(super) const RELEASE: Section = Section {
    name: "release",
    repeated: false,
    doc: "What is run once for each rollout before the first instance of the candidate starts, such as a migration. It runs in the release's \
          folder, with its environment (but for `PORT`), as its user and within its limits; `GAPLESS_ROLLOUT` is the number of the rollout. It runs at \
          most once in a rollout: a controller that is restarted meanwhile finds it again and takes its outcome; when the machine itself goes down, it counts \
          as failed. Where it fails or takes too long, the rollout turns back and nothing of the candidate was started. What it writes is in \
          `gapless logs`. A rollback runs none.",
    keys: &[
        Key {
            name: "command",
            kind: Kind::Command,
            default: Fallback::Absent("nothing is run"),
            doc: "Program and arguments; `{release}` becomes the label. Passes when it exits with 0.",
            example: "[\"./manage.py\", \"migrate\"]",
        },
        Key {
            name: "timeout",
            kind: Kind::Duration { min: Millis(100), max: LONGEST },
            default: Fallback::Value("\"10m\""),
            doc: "How long it may take; then it is ended, SIGTERM first, and has failed.",
            example: "\"1h\"",
        },
    ],
};

/// `[[hook]]`.
pub(super) const HOOK: Section = Section {
    name: "hook",
    repeated: true,
    doc: "A command at a point of a rollout; may be repeated. Hooks run as the release command does, once for each rollout. The rollout waits for those \
          before and after exposure, one after the other as they are written; it turns back where one fails or takes too long (after the exposure of a first \
          release, with nothing to go back to, the failure is only told). Those `on-done` and `on-rollback` run when the rollout is over and change nothing \
          of it. A rollback runs only the `on-rollback` hooks of the release that is gone back from.",
    keys: &[
        Key {
            name: "at",
            kind: Kind::OneOf(&["before-start", "before-expose", "after-expose", "on-rollback", "on-done"]),
            default: Fallback::Required,
            doc: "When it runs: `before-start` before the release command and the first instance of the candidate, `before-expose` when the first batch is \
                  ready and passed its checks, `after-expose` when the candidate has all traffic, `on-done` when it has become current, `on-rollback` \
                  when it was gone back from.",
            example: "\"after-expose\"",
        },
        Key {
            name: "name",
            kind: Kind::Text { bytes_max: 63 },
            default: Fallback::Absent("its program"),
            doc: "What people call the hook; `GAPLESS_HOOK` in its environment.",
            example: "\"purge the cache\"",
        },
        Key {
            name: "command",
            kind: Kind::Command,
            default: Fallback::Required,
            doc: "Program and arguments; `{release}` becomes the label. Passes when it exits with 0.",
            example: "[\"./purge\", \"{release}\"]",
        },
        Key {
            name: "timeout",
            kind: Kind::Duration { min: Millis(100), max: LONGEST },
            default: Fallback::Value("\"1m\""),
            doc: "How long it may take; then it is ended, SIGTERM first, and has failed.",
            example: "\"10s\"",
        },
    ],
};
