//! The process driver with real processes: started once, adopted, stopped, told of.

mod stage;

use gapless_drivers::driver::{AdoptedState, DriverError, ExitCause, StartError};
use gapless_drivers::process::{RemainsLife, remains};
use gapless_model::{Epoch, Millis};
use stage::{Stage, exited, id, kill_nine, runs, until};

const GRACE: Millis = Millis(20_000);

#[tokio::test]
async fn an_instance_is_started_once_however_often_it_is_ordered() {
    let stage = Stage::new();
    let (driver, _events) = stage.driver(1);
    let order = stage.order("shop.r1.i1", stage.script("run", "echo up $PORT $GAPLESS_RELEASE; exec sleep 1000"));
    let (first, second) = tokio::join!(driver.start(order.clone()), driver.start(order.clone()));
    let started = first.unwrap();
    assert_eq!(started, second.unwrap());
    assert!(runs(started.pid));
    // Another controller that does not know, and has not looked.
    let (later, _later_events) = stage.driver(2);
    assert_eq!(later.start(order).await.unwrap().pid, started.pid);
    until("the line", || (stage.wrote(&driver, "shop.r1.i1", "out") == ["up 1 1.0"]).then_some(())).await;
    let exit = later.stop(&id("shop.r1.i1"), GRACE).await.unwrap();
    assert_eq!(exit.cause, ExitCause::Signal(15));
    assert!(!runs(started.pid));
}

#[tokio::test]
async fn an_instance_outlives_its_controller_and_is_adopted() {
    let stage = Stage::new();
    let (driver, events) = stage.driver(1);
    let started = driver.start(stage.order("shop.r1.i1", stage.script("run", "exec sleep 1000"))).await.unwrap();
    let dies = driver.start(stage.order("shop.r1.i2", stage.script("dies", "sleep 0.3; exit 7"))).await.unwrap();
    drop((driver, events));
    until("its end", || (!runs(dies.pid)).then_some(())).await;

    let (driver, mut events) = stage.driver(2);
    let adopted = driver.adopt().await.unwrap();
    assert_eq!(adopted.len(), 2);
    assert_eq!((adopted[0].pid, &adopted[0].state), (Some(started.pid), &AdoptedState::Running));
    assert_eq!(adopted[0].address.port(), 1);
    let AdoptedState::Exited(exit) = &adopted[1].state else { panic!("{adopted:?}") };
    assert_eq!(exit.cause, ExitCause::Code(7));

    kill_nine(started.pid);
    let (instance, exit) = exited(&mut events).await;
    assert_eq!((instance, exit.cause), (id("shop.r1.i1"), ExitCause::Signal(9)));
    for instance in ["shop.r1.i1", "shop.r1.i2"] {
        driver.forget(&id(instance)).await.unwrap();
        driver.forget(&id(instance)).await.unwrap();
    }
    assert_eq!(driver.adopt().await.unwrap(), []);
}

#[tokio::test]
async fn an_older_controller_is_refused_once_a_newer_has_spoken() {
    let stage = Stage::new();
    let (old, _) = stage.driver(1);
    old.start(stage.order("shop.r1.i1", stage.script("run", "exec sleep 1000"))).await.unwrap();
    let (new, _) = stage.driver(2_000);
    new.adopt().await.unwrap();
    assert!(matches!(old.stop(&id("shop.r1.i1"), GRACE).await, Err(DriverError::Stale)));
    let order = stage.order("shop.r1.i2", stage.script("run", "exec sleep 1000"));
    new.start(order.clone()).await.unwrap();
    assert!(matches!(old.start(order).await, Err(StartError::Stale)));
    new.kill(&id("shop.r1.i2")).await.unwrap();
    new.kill(&id("shop.r1.i1")).await.unwrap();
}

#[tokio::test]
async fn what_is_left_of_an_instance_tells_the_newest_term_that_its_keeper_has_seen() {
    let stage = Stage::new();
    let (driver, _events) = stage.driver(3);
    let started = driver.start(stage.order("shop.r1.i1", stage.script("run", "exec sleep 1000"))).await.unwrap();
    let state = stage.instance_folder("shop.r1.i1").ancestors().nth(2).unwrap().to_path_buf();
    let seen = remains(&state).await.unwrap();
    assert_eq!(
        (seen[0].instance.clone(), seen[0].epoch, seen[0].life),
        (id("shop.r1.i1"), Epoch(3), RemainsLife::Open)
    );

    let (newer, _its_events) = stage.driver(9);
    newer.adopt().await.unwrap();
    assert_eq!(remains(&state).await.unwrap()[0].epoch, Epoch(9), "its order says 3; the keeper was asked");
    assert!(runs(started.pid), "nothing is changed by asking");
    newer.kill(&id("shop.r1.i1")).await.unwrap();
    assert_eq!(remains(&state).await.unwrap()[0].life, RemainsLife::Ended);
    newer.forget(&id("shop.r1.i1")).await.unwrap();
    assert_eq!(remains(&state).await.unwrap(), []);
}

#[tokio::test]
async fn an_order_that_came_no_further_than_its_file_is_found_as_never_started() {
    let stage = Stage::new();
    let (driver, _events) = stage.driver(1);
    let order = stage.order("shop.r1.i1", stage.script("run", "exec sleep 1000"));
    driver.start(order.clone()).await.unwrap();
    driver.kill(&order.instance).await.unwrap();
    let spec = std::fs::read(stage.instance_folder("shop.r1.i1").join("spec.json")).unwrap();
    driver.forget(&order.instance).await.unwrap();
    // As a crash between the file and the process leaves it.
    std::fs::create_dir(stage.instance_folder("shop.r1.i1")).unwrap();
    std::fs::write(stage.instance_folder("shop.r1.i1").join("spec.json"), spec).unwrap();
    // And between the folder and the file.
    std::fs::create_dir(stage.instance_folder("shop.r1.i2")).unwrap();
    let (driver, _events) = stage.driver(2);
    let adopted = driver.adopt().await.unwrap();
    assert_eq!(adopted.len(), 1);
    assert_eq!(adopted[0].state, AdoptedState::NeverStarted);
    let started = driver.start(order.clone()).await.unwrap();
    assert!(runs(started.pid));
    driver.kill(&order.instance).await.unwrap();
}

#[tokio::test]
async fn what_an_instance_uses_is_the_sum_over_its_tree() {
    let stage = Stage::new();
    let (driver, _events) = stage.driver(1);
    let script = stage.script("run", "sleep 1000 & i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done; echo done; wait");
    let order = stage.order("shop.r1.i1", script);
    driver.start(order.clone()).await.unwrap();
    until("its work", || (stage.wrote(&driver, "shop.r1.i1", "out") == ["done"]).then_some(())).await;
    let used = driver.resources(&order.instance).await.unwrap();
    assert_eq!(used.processes, 2, "{used:?}");
    assert!(used.memory_bytes > 100_000 && used.cpu_us > 10_000, "{used:?}");
    assert!(matches!(driver.forget(&order.instance).await, Err(DriverError::Running(_))));
    driver.kill(&order.instance).await.unwrap();
    assert!(matches!(driver.stop(&id("shop.r9.i9"), GRACE).await, Err(DriverError::Unknown(_))));
}
