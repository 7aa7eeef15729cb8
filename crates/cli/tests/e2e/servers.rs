//! Servers others wrote, each through rolling, blue-green, rollback and the `kill -9` of an instance, with every kind of client.

use std::path::Path;

use gapless_load::Run;

use crate::clients::{Able, assert_nothing_lost, brisk, end, everyone, slow, until_under_way};
use crate::world::{Service, World, found, kill};

/// The way every server goes.
fn goes_through_every_change(service: &Service, able: Able) {
    let world = World::up();
    world.assert_done(&world.deploy(service, "1.0", "rolling"));

    let load = Run::start(everyone(&world, "graceful", able)).expect("load");
    until_under_way(&load);
    world.assert_done(&world.deploy(service, "1.1", "rolling"));
    world.assert_done(&world.deploy(service, "1.2", "blue-green"));
    world.assert_done(&world.gapless(&["rollback", "shop"]));
    std::thread::sleep(slow() / 2);
    assert_nothing_lost(&end(load), &["1.0", "1.1", "1.2"]);

    heals_after_a_kill(&world);
}

/// An instance is killed under load: only what it was doing may be lost, and it is replaced.
fn heals_after_a_kill(world: &World) {
    let mut plan = brisk(world, "killed");
    // A server of files takes no POST.
    plan.streams.retain(|stream| stream.kind == gapless_load::Kind::Get);
    let load = Run::start(plan).expect("load");
    until_under_way(&load);
    let before = world.live();
    assert_eq!(before.len(), 3, "{:#}", world.status());
    let (victim, pid) = before[0].clone();
    kill(pid);
    world.eventually("the killed instance is replaced", || {
        let now = world.live();
        now.len() == 3 && now.iter().all(|(id, pid_now)| *id != victim || *pid_now != pid)
    });
    let at_the_kill = load.snapshot().lost;
    until_answered_more(&load, 200);
    let sums = end(load);
    // GETs may be sent again when their instance dies under them, so even those need not be lost; a few may, if their answer had begun.
    assert!(at_the_kill <= 3, "{:?} {:#?}", sums.lost_by, sums.incidents);
    assert_eq!(sums.lost, at_the_kill, "nothing is lost once it is replaced: {:#?}", sums.incidents);
}

fn until_answered_more(load: &Run, more: u64) {
    let now = load.snapshot().answered;
    assert!(load.wait_until(crate::world::PATIENCE, |sums| sums.answered >= now + more));
}

#[test]
fn the_sample_service_goes_through_every_change_without_loss() {
    goes_through_every_change(&Service::sample(&[]), Able::Everything);
}

#[test]
fn gunicorn_goes_through_every_change_without_loss() {
    let Some(gunicorn) = found("gunicorn") else { return };
    goes_through_every_change(&gunicorn_service(&gunicorn), Able::Everything);
}

fn gunicorn_service(gunicorn: &Path) -> Service {
    let gunicorn = gunicorn.display();
    Service {
        command: format!(
            "[\"{gunicorn}\", \"--bind\", \"127.0.0.1:{{port}}\", \"--threads\", \"48\", \"--keep-alive\", \"75\", \
             \"--graceful-timeout\", \"10\", \"--log-level\", \"warning\", \"application:application\"]"
        ),
        files: vec![("application.py", include_str!("services/application.py").into())],
        more: String::new(),
    }
}

#[test]
fn node_goes_through_every_change_without_loss() {
    let Some(node) = found("node") else { return };
    let service = Service {
        command: format!("[\"{}\", \"server.js\"]", node.display()),
        files: vec![("server.js", include_str!("services/server.js").into())],
        more: String::new(),
    };
    goes_through_every_change(&service, Able::Everything);
}

#[test]
fn nginx_as_the_instance_goes_through_every_change_without_loss() {
    let Some(nginx) = found("nginx") else { return };
    let service = Service {
        command: format!("[\"sh\", \"start.sh\", \"{}\", \"{{port}}\"]", nginx.display()),
        files: vec![
            ("start.sh", include_str!("services/start-nginx.sh").into()),
            ("nginx.conf.in", include_str!("services/nginx.conf.in").into()),
        ],
        more: String::new(),
    };
    goes_through_every_change(&service, Able::Files);
}
