//! A load generator we did not write, while releases are replaced.

use std::process::{Command, Stdio};
use std::time::Duration;

use crate::world::{Service, World, found};

#[test]
fn wrk_sees_no_error_while_releases_are_replaced() {
    let Some(wrk) = found("wrk") else { return };
    let world = World::up();
    let service = Service::sample(&[]);
    world.assert_done(&world.deploy(&service, "1.0", "rolling"));
    let seconds = 20;
    let child = Command::new(wrk)
        .args(["--threads", "1", "--connections", "24", "--timeout", "10s", "--duration", &format!("{seconds}s")])
        .arg(format!("http://{}/slow?ms=20", world.listen))
        .stdout(Stdio::piped())
        .spawn()
        .expect("wrk starts");
    std::thread::sleep(Duration::from_millis(500));
    world.assert_done(&world.deploy(&service, "1.1", "rolling"));
    world.assert_done(&world.deploy(&service, "1.2", "blue-green"));
    let output = child.wait_with_output().expect("wrk ends");
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(told.contains("requests in"), "{told}");
    assert!(!told.contains("Socket errors") && !told.contains("Non-2xx"), "{told}");
}
