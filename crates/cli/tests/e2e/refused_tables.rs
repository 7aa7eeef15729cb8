//! A proxy that refuses every table, and says that it uses one of a later term: nothing of a rollout counts as in use there.

use std::os::unix::net::UnixListener;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use gapless_drivers::proxylink::split;
use gapless_wire::control::{FromProxy, Hello, ProxyHello, ReportDoc, ToProxy, VersionDoc};

use crate::world::{PATIENCE, Service, World};

/// What the played proxy says that it uses: a table of a term that is far ahead.
const AHEAD: VersionDoc = VersionDoc { epoch: 1_000, generation: 7 };

/// Plays a proxy on the socket of a world until the test ends.
fn play(listener: UnixListener, asked: Arc<Mutex<Vec<u64>>>, end: Arc<AtomicBool>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    listener.set_nonblocking(true).expect("a socket");
    runtime.block_on(async {
        while !end.load(Ordering::Relaxed) {
            match listener.accept() {
                Ok((stream, _)) => drop(tokio::spawn(converse(stream, Arc::clone(&asked)))),
                Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        }
    });
}

async fn converse(stream: std::os::unix::net::UnixStream, asked: Arc<Mutex<Vec<u64>>>) {
    let Ok((mut reader, mut writer)) = split(stream) else { return };
    let Ok(Some(ToProxy::Hello { epoch, .. })) = reader.message::<ToProxy>().await else { return };
    asked.lock().expect("a list").push(epoch);
    if epoch == 0 {
        let _gone = writer.send(&FromProxy::Fenced { epoch: 0, controller: None }, &[]).await;
        return;
    }
    let hello = ProxyHello {
        hello: Hello::ours(),
        proxy: "played".into(),
        pid: std::process::id(),
        threads: 1,
        applied: Some(AHEAD),
        listeners: Vec::new(),
        started_unix_ms: 0,
        leaving: false,
    };
    let _gone = writer.send(&FromProxy::Hello(hello), &[]).await;
    let mut number = 0;
    while let Ok(Some(message)) = reader.message::<ToProxy>().await {
        if let ToProxy::Listeners { addresses } = &message {
            let _closed = reader.descriptors(addresses.len());
        }
        if let ToProxy::Table { table } = message {
            let version = table.open().ok().map(|spec| spec.version.into());
            let reason = "it refuses every table".to_owned();
            let _gone = writer.send(&FromProxy::Refused { version, reason }, &[]).await;
        }
        number += 1;
        let report = ReportDoc { number, applied: AHEAD, ..ReportDoc::default() };
        let _gone = writer.send(&FromProxy::Applied { version: AHEAD }, &[]).await;
        let _gone = writer.send(&FromProxy::Report(report), &[]).await;
    }
}

#[test]
fn a_rollout_whose_tables_a_proxy_refuses_is_never_done() {
    let mut world = World::down();
    std::fs::create_dir_all(world.state()).expect("a state folder");
    let listener = UnixListener::bind(world.state().join("proxy.sock")).expect("the proxy's socket");
    let (asked, end) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
    let playing = {
        let (asked, end) = (Arc::clone(&asked), Arc::clone(&end));
        std::thread::spawn(move || play(listener, asked, end))
    };
    world.start_controller(&[]);
    let service = Service::sample(&[]).with("[strategy]\nobserve = \"100ms\"\nbake = \"100ms\"\ntimeout = \"10s\"\n");
    let began = Instant::now();
    let ended = world.deploy(&service, "1.0", "rolling");
    assert!(began.elapsed() < PATIENCE, "it ends by its deadline");
    assert!([3, 4].contains(&ended.code), "{}", world.tell(&ended));
    let warnings = world.status()["controller"]["warnings"].to_string();
    assert!(warnings.contains("it refuses every table"), "{warnings}");
    assert_eq!(asked.lock().expect("a list").first(), Some(&0), "it was asked whom it obeys before a term was taken");
    end.store(true, Ordering::Relaxed);
    world.kill_controller();
    playing.join().expect("the played proxy ends");
}
