//! Orders for the tests of this crate.

use std::collections::BTreeMap;
use std::path::Path;

use gapless_model::{EffectNumber, Epoch, Limits, LogLimits, Millis, ReleaseLabel, RunSpec};

use super::{Fence, StartOrder};

/// An order to run a command in a folder.
pub(crate) fn order(instance: &str, folder: impl AsRef<Path>, port: u16, command: &[&str]) -> StartOrder {
    StartOrder {
        instance: instance.parse().unwrap(),
        label: ReleaseLabel::new("1.0").unwrap(),
        folder: folder.as_ref().to_owned(),
        run: RunSpec {
            command: command.iter().map(|text| (*text).to_owned()).collect(),
            environment: BTreeMap::new(),
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
