//! The attacks of `gapless-attack` on the program as it ships: `gapless up`, a real deploy, badly behaved clients and instances.
//!
//! Each case is a test of its own. The program of this test is also the origin behind the proxy (the first argument tells).

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, OnceLock};

use gapless_attack::case::{Case, StageKind, read_folder};
use gapless_attack::stage::{Programs, Stage};
use gapless_attack::{origin, run};
use libtest_mimic::{Arguments, Failed, Trial};

/// The first argument that makes this program the origin.
const ORIGIN: &str = "attack-origin";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.first().is_some_and(|first| first == ORIGIN) {
        let served = origin::Options::read(&arguments[1..]).and_then(|options| origin::serve(&options));
        return match served {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("error: {error:#}");
                ExitCode::FAILURE
            }
        };
    }
    let cases = match read_folder(&gapless_attack::folder()) {
        Ok(cases) => cases,
        Err(error) => {
            eprintln!("error: {error:#}");
            return ExitCode::FAILURE;
        }
    };
    let stages = Arc::new(Stages::default());
    let trials = cases.into_iter().enumerate().map(|(number, case)| {
        let stages = Arc::clone(&stages);
        let name = case.name.replace(' ', "_");
        Trial::test(name, move || attack(&stages, &case, number)).with_kind("attack")
    });
    let conclusion = libtest_mimic::run(&Arguments::from_args(), trials.collect());
    // Every process of the stages is ended before this one: nothing else would end them.
    stages.end();
    conclusion.exit_code()
}

fn attack(stages: &Stages, case: &Case, number: usize) -> Result<(), Failed> {
    let stage = stages.of(case.stage).map_err(|error| format!("{error:#}"))?;
    let alone = &stages.place(case.stage).alone;
    // A crash of the instance is meant for the clients of its own case.
    let _alone = (case.stage == StageKind::Fragile).then(|| alone.lock());
    let record = stage.record();
    run::run(case, number, stage.target(&record)).map_err(|error| format!("{error:#}").into())
}

/// The stages that were asked for, each started once and shared by its cases.
#[derive(Default)]
struct Stages {
    one: Place,
    two: Place,
    short: Place,
    fragile: Place,
}

/// One stage, once it was started, or why it could not be.
#[derive(Default)]
struct Place {
    alone: Mutex<()>,
    started: OnceLock<Result<Mutex<Option<Arc<Stage>>>, String>>,
}

impl Stages {
    fn place(&self, kind: StageKind) -> &Place {
        match kind {
            StageKind::One => &self.one,
            StageKind::Two => &self.two,
            StageKind::Short => &self.short,
            StageKind::Fragile => &self.fragile,
        }
    }

    fn of(&self, kind: StageKind) -> anyhow::Result<Arc<Stage>> {
        let started = self.place(kind).started.get_or_init(|| match Stage::start(&programs(), kind) {
            Ok(stage) => Ok(Mutex::new(Some(Arc::new(stage)))),
            Err(error) => Err(format!("{error:#}")),
        });
        let stage = started.as_ref().map_err(|error| anyhow::anyhow!("{error}"))?;
        let stage = stage.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        stage.clone().ok_or_else(|| anyhow::anyhow!("the stage is over"))
    }

    fn end(&self) {
        for place in [&self.one, &self.two, &self.short, &self.fragile] {
            if let Some(Ok(stage)) = place.started.get() {
                stage.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
            }
        }
    }
}

fn programs() -> Programs {
    let this = std::env::current_exe().unwrap_or_default();
    Programs {
        gapless: PathBuf::from(env!("CARGO_BIN_EXE_gapless")),
        origin: vec![this.display().to_string(), ORIGIN.to_owned()],
    }
}
