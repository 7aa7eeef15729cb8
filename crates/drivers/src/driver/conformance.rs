//! What every driver must do, whatever it runs instances as. A driver's tests call [`run`] with a way to make it afresh.

use std::time::Duration;

use gapless_model::{Epoch, InstanceId, Millis};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::{Instant, sleep, timeout};

use super::{
    Addresses, AdoptedState, Driver, DriverError, ExecOrder, Exit, ExitCause, InstanceEvent, StartError, StartOrder,
    Support,
};
use crate::logs::LogSelector;

/// Far beyond what anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
/// A grace that no instance of the suite needs.
const LONG: Millis = Millis(60_000);
/// The grace of an instance that is not going to end when asked.
const SHORT: Millis = Millis(200);
/// Longer than the news of an end takes that is told when it should not be.
const QUIET: Duration = Duration::from_millis(50);

/// What an instance of the suite does. It writes the line `ready` once it does it; one that exits does so before.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Behaviour {
    /// Runs until it is asked to end.
    Runs,
    /// Runs, and does not end when it is asked to.
    Ignores,
    /// Ends by itself with this code.
    Exits(u8),
    /// Its program is not there.
    Missing,
}

/// The machine of a driver under test.
pub trait Bench {
    /// The driver under test.
    type Driver: Driver;
    /// Takes another machine, on which nothing runs.
    fn fresh(&mut self);
    /// A driver of the machine in the name of a term, and what will happen unasked.
    fn driver(&self, term: Epoch) -> (Self::Driver, UnboundedReceiver<InstanceEvent>);
    /// An order for an instance of the machine that behaves so.
    fn order(&self, instance: &str, behaviour: Behaviour) -> StartOrder;
}

/// Runs the suite.
///
/// # Panics
/// Where the driver does not do what [`Driver`] promises; the place names the case.
pub async fn run(bench: &mut impl Bench) {
    an_instance_is_started_once_however_often_it_is_ordered(bench).await;
    an_instance_outlives_its_driver_and_is_observed(bench).await;
    an_end_that_nobody_ordered_is_an_event(bench).await;
    an_end_that_was_ordered_is_the_answer_and_no_event(bench).await;
    one_that_does_not_end_when_asked_is_ended_after_its_grace(bench).await;
    one_that_runs_is_not_forgotten_and_one_that_ended_is(bench).await;
    one_that_cannot_be_run_says_so_each_time(bench).await;
    an_older_term_is_refused_once_a_newer_has_spoken(bench).await;
    what_an_instance_wrote_is_read(bench).await;
    what_an_instance_uses_is_told(bench).await;
    a_command_beside_an_instance_ends_with_its_code_or_is_said_to_be_unsupported(bench).await;
}

fn id(text: &str) -> InstanceId {
    text.parse().expect("the suite writes instances' names")
}

async fn lines<D: Driver>(driver: &D, instance: &str) -> Vec<String> {
    let instance = id(instance);
    let service = instance.service.clone();
    let selector = LogSelector { service, release: None, instance: Some(instance), since: None, tail: 1_000 };
    let lines = driver.logs(selector).await.expect("logs are read");
    lines.into_iter().map(|line| line.line.text).collect()
}

/// Waits until an instance does what it is to do.
async fn ready<D: Driver>(driver: &D, instance: &str) {
    let deadline = Instant::now() + PATIENCE;
    while !lines(driver, instance).await.contains(&"ready".to_owned()) {
        assert!(Instant::now() < deadline, "{instance} is never ready");
        sleep(Duration::from_millis(10)).await;
    }
}

async fn told(events: &mut UnboundedReceiver<InstanceEvent>) -> (InstanceId, Exit) {
    let InstanceEvent::Exited { instance, exit } =
        timeout(PATIENCE, events.recv()).await.expect("an end is told").expect("the driver lives");
    (instance, exit)
}

async fn nothing_is_told(events: &mut UnboundedReceiver<InstanceEvent>) {
    sleep(QUIET).await;
    assert!(events.try_recv().is_err(), "an end that was ordered is no news");
}

async fn an_instance_is_started_once_however_often_it_is_ordered<B: Bench>(bench: &mut B) {
    bench.fresh();
    let (driver, _events) = bench.driver(Epoch(1));
    let order = bench.order("shop.r1.i1", Behaviour::Runs);
    let (first, second) = tokio::join!(driver.start(order.clone()), driver.start(order.clone()));
    let started = first.expect("it starts");
    assert_eq!(second.expect("as before"), started);
    match driver.capabilities().addresses {
        Addresses::Ordered => assert_eq!(started.address.port(), order.port),
        Addresses::Driver => {}
    }
    let (later, _later_events) = bench.driver(Epoch(2));
    later.observe().await.expect("it is observed");
    assert_eq!(later.start(order).await.expect("as before"), started);
    later.kill(&id("shop.r1.i1")).await.expect("it ends");
}

async fn an_instance_outlives_its_driver_and_is_observed<B: Bench>(bench: &mut B) {
    bench.fresh();
    let (driver, mut events) = bench.driver(Epoch(1));
    assert_eq!(driver.observe().await.expect("nothing runs"), []);
    let runs = driver.start(bench.order("shop.r1.i1", Behaviour::Runs)).await.expect("it starts");
    driver.start(bench.order("shop.r1.i2", Behaviour::Exits(7))).await.expect("it starts");
    told(&mut events).await;
    drop((driver, events));

    let (driver, mut events) = bench.driver(Epoch(2));
    let found = driver.observe().await.expect("it is observed");
    let found: Vec<_> = found.iter().map(|found| (found.instance.to_string(), found.address, &found.state)).collect();
    let [(one, address, AdoptedState::Running), (two, _, AdoptedState::Exited(exit))] = &found[..] else {
        panic!("{found:?}")
    };
    assert_eq!((one.as_str(), two.as_str(), address), ("shop.r1.i1", "shop.r1.i2", &runs.address));
    assert_eq!(exit.cause, ExitCause::Code(7));
    nothing_is_told(&mut events).await;
    driver.kill(&id("shop.r1.i1")).await.expect("it ends");
}

async fn an_end_that_nobody_ordered_is_an_event<B: Bench>(bench: &mut B) {
    bench.fresh();
    let (driver, mut events) = bench.driver(Epoch(1));
    driver.start(bench.order("shop.r1.i1", Behaviour::Exits(3))).await.expect("it starts");
    let (instance, exit) = told(&mut events).await;
    assert_eq!((instance, exit.cause.clone()), (id("shop.r1.i1"), ExitCause::Code(3)));
    assert!(exit.is_own_doing());
    assert_eq!(driver.stop(&id("shop.r1.i1"), LONG).await.expect("it has ended"), exit, "as it was told");
    nothing_is_told(&mut events).await;
}

async fn an_end_that_was_ordered_is_the_answer_and_no_event<B: Bench>(bench: &mut B) {
    bench.fresh();
    let (driver, mut events) = bench.driver(Epoch(1));
    driver.start(bench.order("shop.r1.i1", Behaviour::Runs)).await.expect("it starts");
    ready(&driver, "shop.r1.i1").await;
    let exit = driver.stop(&id("shop.r1.i1"), LONG).await.expect("it ends");
    assert!(!exit.is_own_doing(), "{exit}");
    assert_eq!(driver.stop(&id("shop.r1.i1"), LONG).await.expect("it has ended"), exit);
    assert_eq!(driver.kill(&id("shop.r1.i1")).await.expect("it has ended"), exit);
    nothing_is_told(&mut events).await;
}

async fn one_that_does_not_end_when_asked_is_ended_after_its_grace<B: Bench>(bench: &mut B) {
    bench.fresh();
    let (driver, mut events) = bench.driver(Epoch(1));
    driver.start(bench.order("shop.r1.i1", Behaviour::Ignores)).await.expect("it starts");
    ready(&driver, "shop.r1.i1").await;
    let exit = driver.stop(&id("shop.r1.i1"), SHORT).await.expect("it ends");
    assert_eq!(exit.cause, ExitCause::Signal(9), "{exit}");
    nothing_is_told(&mut events).await;
}

async fn one_that_runs_is_not_forgotten_and_one_that_ended_is<B: Bench>(bench: &mut B) {
    bench.fresh();
    let (driver, _events) = bench.driver(Epoch(1));
    let instance = id("shop.r1.i1");
    driver.start(bench.order("shop.r1.i1", Behaviour::Runs)).await.expect("it starts");
    assert!(matches!(driver.forget(&instance).await, Err(DriverError::Running(_))));
    driver.kill(&instance).await.expect("it ends");
    driver.forget(&instance).await.expect("it is forgotten");
    driver.forget(&instance).await.expect("twice is once");
    assert!(matches!(driver.stop(&instance, LONG).await, Err(DriverError::Unknown(_))));
    let (later, _its_events) = bench.driver(Epoch(2));
    assert_eq!(later.observe().await.expect("nothing runs"), []);
}

async fn one_that_cannot_be_run_says_so_each_time<B: Bench>(bench: &mut B) {
    bench.fresh();
    let (driver, mut events) = bench.driver(Epoch(1));
    let order = bench.order("shop.r1.i1", Behaviour::Missing);
    let mut reasons = Vec::new();
    for _ in 0..2 {
        match driver.start(order.clone()).await {
            Err(StartError::NotRunnable { reason }) => reasons.push(reason),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(reasons[0], reasons[1]);
    nothing_is_told(&mut events).await;
    driver.forget(&order.instance).await.expect("it is forgotten");
}

async fn an_older_term_is_refused_once_a_newer_has_spoken<B: Bench>(bench: &mut B) {
    bench.fresh();
    let (old, _old_events) = bench.driver(Epoch(1));
    old.start(bench.order("shop.r1.i1", Behaviour::Runs)).await.expect("it starts");
    let (new, _new_events) = bench.driver(Epoch(9));
    new.observe().await.expect("it is observed");
    assert!(matches!(old.stop(&id("shop.r1.i1"), LONG).await, Err(DriverError::Stale)));
    let order = bench.order("shop.r1.i2", Behaviour::Runs);
    new.start(order.clone()).await.expect("it starts");
    assert!(matches!(old.start(order).await, Err(StartError::Stale)));
    for instance in ["shop.r1.i1", "shop.r1.i2"] {
        new.kill(&id(instance)).await.expect("the newer term is obeyed");
    }
}

async fn what_an_instance_wrote_is_read<B: Bench>(bench: &mut B) {
    bench.fresh();
    let (driver, _events) = bench.driver(Epoch(1));
    for instance in ["shop.r1.i1", "shop.r1.i2"] {
        driver.start(bench.order(instance, Behaviour::Runs)).await.expect("it starts");
        ready(&driver, instance).await;
    }
    assert_eq!(lines(&driver, "shop.r1.i9").await, Vec::<String>::new(), "another's lines are not told");
    for instance in ["shop.r1.i1", "shop.r1.i2"] {
        driver.kill(&id(instance)).await.expect("it ends");
        assert!(lines(&driver, instance).await.contains(&"ready".to_owned()), "what was written stays");
    }
}

async fn what_an_instance_uses_is_told<B: Bench>(bench: &mut B) {
    bench.fresh();
    let (driver, _events) = bench.driver(Epoch(1));
    driver.start(bench.order("shop.r1.i1", Behaviour::Runs)).await.expect("it starts");
    ready(&driver, "shop.r1.i1").await;
    match (driver.capabilities().resources, driver.resources(&id("shop.r1.i1")).await) {
        (Support::Yes, Ok(used)) => assert!(used.processes >= 1 && used.memory_bytes > 0, "{used:?}"),
        (Support::No, Err(DriverError::Unsupported { .. })) => {}
        other => panic!("{other:?}"),
    }
    let unknown = driver.resources(&id("shop.r9.i9")).await;
    assert!(matches!(unknown, Err(DriverError::Unknown(_) | DriverError::Unsupported { .. })), "{unknown:?}");
    driver.kill(&id("shop.r1.i1")).await.expect("it ends");
}

async fn a_command_beside_an_instance_ends_with_its_code_or_is_said_to_be_unsupported<B: Bench>(bench: &mut B) {
    bench.fresh();
    let (driver, _events) = bench.driver(Epoch(1));
    let instance = id("shop.r1.i1");
    driver.start(bench.order("shop.r1.i1", Behaviour::Runs)).await.expect("it starts");
    let order = |script: &str, timeout| ExecOrder { argv: ["sh", "-c", script].map(str::to_owned).into(), timeout };
    let done = driver.exec(&instance, order("echo $GAPLESS_INSTANCE; echo no >&2; exit 4", LONG)).await;
    match (driver.capabilities().exec, done) {
        (Support::No, Err(DriverError::Unsupported { .. })) => {}
        (Support::Yes, Ok(done)) => {
            assert_eq!((done.code, done.stdout.trim(), done.stderr.trim()), (Some(4), "shop.r1.i1", "no"));
            let late = driver.exec(&instance, order("sleep 1000", SHORT)).await;
            assert!(matches!(late, Err(DriverError::Exec { .. })), "{late:?}");
            let unknown = driver.exec(&id("shop.r9.i9"), order("true", LONG)).await;
            assert!(matches!(unknown, Err(DriverError::Unknown(_))), "{unknown:?}");
            driver.kill(&instance).await.expect("it ends");
            let ended = driver.exec(&instance, order("true", LONG)).await;
            assert!(matches!(ended, Err(DriverError::NotRunning(_))), "{ended:?}");
        }
        other => panic!("{other:?}"),
    }
    driver.kill(&instance).await.expect("it ends, or has ended");
}
