//! Orders for the tests of this crate.

use std::collections::BTreeMap;

use gapless_model::{Digest, EffectNumber, Epoch, Limits, LogLimits, Millis, ReleaseLabel, RunSpec};

use crate::driver::{Fence, StartOrder};

/// An order to run a command.
pub(crate) fn order(instance: &str, port: u16, command: &[&str]) -> StartOrder {
    StartOrder {
        instance: instance.parse().unwrap(),
        label: ReleaseLabel::new("1.0").unwrap(),
        artefact: Digest([7; 32]),
        run: RunSpec {
            command: command.iter().map(|text| (*text).to_owned()).collect(),
            environment: BTreeMap::new(),
            sources: gapless_model::Sources::default(),
            folder: ".".to_owned(),
            user: None,
            stop_grace: Millis(5_000),
            limits: Limits::default(),
            logs: LogLimits { file_bytes_max: 1 << 20, files_max: 3 },
        },
        port,
        fence: Fence { epoch: Epoch(1), effect: EffectNumber(1) },
    }
}
