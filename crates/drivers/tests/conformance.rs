//! Every driver against the one suite.

mod stage;

use gapless_drivers::driver::conformance::{self, Behaviour, Bench};
use gapless_drivers::driver::{FakeDriver, FakeMachine, InstanceEvent, StartOrder};
use gapless_drivers::process::ProcessDriver;
use gapless_model::Epoch;
use stage::Stage;
use tokio::sync::mpsc::UnboundedReceiver;

struct Processes(Stage);

impl Bench for Processes {
    type Driver = ProcessDriver;

    fn fresh(&mut self) {
        self.0 = Stage::new();
    }

    fn driver(&self, term: Epoch) -> (ProcessDriver, UnboundedReceiver<InstanceEvent>) {
        self.0.driver(term.0)
    }

    fn order(&self, instance: &str, behaviour: Behaviour) -> StartOrder {
        let command = match behaviour {
            Behaviour::Runs => self.0.script(instance, "echo ready; exec sleep 1000"),
            Behaviour::Ignores => self.0.script(instance, "trap '' TERM; echo ready; while :; do sleep 0.05; done"),
            Behaviour::Exits(code) => self.0.script(instance, &format!("echo ready; exit {code}")),
            Behaviour::Missing => vec!["./missing".to_owned()],
        };
        self.0.order(instance, command)
    }
}

#[tokio::test]
async fn the_process_driver_conforms() {
    conformance::run(&mut Processes(Stage::new())).await;
}

struct Fakes(FakeMachine, Stage);

impl Bench for Fakes {
    type Driver = FakeDriver;

    fn fresh(&mut self) {
        self.0 = FakeMachine::new();
    }

    fn driver(&self, term: Epoch) -> (FakeDriver, UnboundedReceiver<InstanceEvent>) {
        self.0.driver(term)
    }

    fn order(&self, instance: &str, behaviour: Behaviour) -> StartOrder {
        let command = match behaviour {
            Behaviour::Runs => vec!["runs".to_owned()],
            Behaviour::Ignores => vec!["ignores".to_owned()],
            Behaviour::Exits(code) => vec!["exits".to_owned(), code.to_string()],
            Behaviour::Missing => vec!["missing".to_owned()],
        };
        self.1.order(instance, command)
    }
}

#[tokio::test]
async fn the_fake_driver_conforms() {
    conformance::run(&mut Fakes(FakeMachine::new(), Stage::new())).await;
}
