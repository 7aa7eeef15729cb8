//! A proxy that refuses tables: a rollout whose table is refused ends at once, with the proxy's words, and nothing of it counts as in use there.

use std::os::unix::net::UnixListener;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use gapless_drivers::proxylink::split;
use gapless_routing::TableSpec;
use gapless_wire::control::{FromProxy, Hello, ProxyHello, ReportDoc, ToProxy, VersionDoc};

use crate::world::{PATIENCE, Service, World};

/// A table of a term that is far ahead.
const AHEAD: VersionDoc = VersionDoc { epoch: 1_000, generation: 7 };

/// The service as it is deployed; its rollouts would wait for ten minutes.
fn shop() -> Service {
    Service::sample(&[]).with("[strategy]\nobserve = \"100ms\"\nbake = \"100ms\"\ntimeout = \"10m\"\n")
}

/// What a played proxy does.
#[derive(Clone, Copy)]
struct Part {
    refuses: fn(&TableSpec) -> bool,
    /// What it says that it uses while it has taken no table.
    uses: VersionDoc,
}

/// A proxy that is played on the socket of a world until the test ends.
struct Played {
    asked: Arc<Mutex<Vec<u64>>>,
    end: Arc<AtomicBool>,
    playing: JoinHandle<()>,
}

impl Played {
    fn begin(world: &World, part: Part) -> Played {
        std::fs::create_dir_all(world.state()).expect("a state folder");
        let listener = UnixListener::bind(world.state().join("proxy.sock")).expect("the proxy's socket");
        let (asked, end) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let playing = {
            let (asked, end) = (Arc::clone(&asked), Arc::clone(&end));
            std::thread::spawn(move || play(listener, part, asked, end))
        };
        Played { asked, end, playing }
    }

    fn end(self) {
        self.end.store(true, Ordering::Relaxed);
        self.playing.join().expect("the played proxy ends");
    }
}

fn play(listener: UnixListener, part: Part, asked: Arc<Mutex<Vec<u64>>>, end: Arc<AtomicBool>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    listener.set_nonblocking(true).expect("a socket");
    runtime.block_on(async {
        while !end.load(Ordering::Relaxed) {
            match listener.accept() {
                Ok((stream, _)) => drop(tokio::spawn(converse(stream, part, Arc::clone(&asked)))),
                Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        }
    });
}

async fn converse(stream: std::os::unix::net::UnixStream, part: Part, asked: Arc<Mutex<Vec<u64>>>) {
    let Ok((mut reader, mut writer)) = split(stream) else { return };
    let Ok(Some(ToProxy::Hello { epoch, .. })) = reader.message::<ToProxy>().await else { return };
    asked.lock().expect("a list").push(epoch);
    if epoch == 0 {
        let _gone = writer.send(&FromProxy::Fenced { epoch: 0, controller: None }, &[]).await;
        return;
    }
    let mut uses = part.uses;
    let hello = ProxyHello {
        hello: Hello::ours(),
        proxy: "played".into(),
        pid: std::process::id(),
        threads: 1,
        applied: Some(uses),
        listeners: Vec::new(),
        started_unix_ms: 0,
        leaving: false,
    };
    let _gone = writer.send(&FromProxy::Hello(hello), &[]).await;
    let (mut number, mut answers) = (0, 0);
    while let Ok(Some(message)) = reader.message::<ToProxy>().await {
        match &message {
            ToProxy::Listeners { addresses } => drop(reader.descriptors(addresses.len())),
            ToProxy::Table { table } => {
                let spec = table.open().expect("a whole table");
                if (part.refuses)(&spec) {
                    let reason = "it is not to its taste".to_owned();
                    let version = Some(spec.version.into());
                    let _gone = writer.send(&FromProxy::Refused { version, reason }, &[]).await;
                } else {
                    uses = spec.version.into();
                }
            }
            ToProxy::Report { number } => answers = *number,
            _ => {}
        }
        number += 1;
        let report = ReportDoc { number, applied: uses, asked: answers, ..ReportDoc::default() };
        let _gone = writer.send(&FromProxy::Applied { version: uses }, &[]).await;
        let _gone = writer.send(&FromProxy::Report(report), &[]).await;
    }
}

#[test]
fn a_rollout_whose_tables_a_proxy_refuses_is_never_done() {
    let mut world = World::down();
    let played = Played::begin(&world, Part { refuses: |_| true, uses: AHEAD });
    world.start_controller(&[]);
    let began = Instant::now();
    let ended = world.deploy(&shop(), "1.0", "rolling");
    assert_eq!(ended.code, 4, "nothing is there to go back to: {}", world.tell(&ended));
    assert!(began.elapsed() < PATIENCE, "it does not wait for its deadline");
    assert!(ended.stdout.contains("it is not to its taste"), "{}", world.tell(&ended));
    world.eventually_warned(&["it is not to its taste"]);
    assert_eq!(
        played.asked.lock().expect("a list").first(),
        Some(&0),
        "it was asked whom it obeys before a term was taken"
    );
    world.kill_controller();
    played.end();
}

#[test]
fn a_rollout_whose_table_a_proxy_refuses_turns_back_at_once_with_the_words_of_the_proxy() {
    let mut world = World::down();
    let holds_the_candidate = |table: &TableSpec| {
        table.services.iter().flat_map(|service| &service.pools).any(|pool| pool.label.as_str() == "1.1")
    };
    let none = VersionDoc { epoch: 0, generation: 0 };
    let played = Played::begin(&world, Part { refuses: holds_the_candidate, uses: none });
    world.start_controller(&[]);
    let first = world.deploy(&shop(), "1.0", "rolling");
    assert_eq!(first.code, 0, "{}", world.tell(&first));
    let began = Instant::now();
    let ended = world.deploy(&shop(), "1.1", "rolling");
    assert_eq!(ended.code, 3, "{}", world.tell(&ended));
    assert!(began.elapsed() < PATIENCE, "it does not wait for its deadline");
    assert!(ended.stdout.contains("it is not to its taste"), "{}", world.tell(&ended));
    let receipt = world.receipt();
    assert_eq!(receipt["rollout"]["state"], "rolled-back", "{receipt:#}");
    let cause = receipt["rollout"]["cause"].as_str().unwrap_or_default();
    assert!(cause.contains("a proxy refused table") && cause.contains("it is not to its taste"), "{receipt:#}");
    assert_eq!(world.status()["services"][0]["situation"]["current"], "1.0");
    world.kill_controller();
    played.end();
}
