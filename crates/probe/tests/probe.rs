//! Probes against servers that do it right and servers that do not.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use gapless_model::{Millis, ProbeKind, StatusRange};
use gapless_probe::{ProbeFailure, ProbeResult, ProbeTarget, ask};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

const PATIENT: Millis = Millis(20_000);

/// A server that reads a head and answers with these bytes, then closes; with nothing it never closes.
async fn server(answer: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") && stream.read_buf(&mut head).await.unwrap_or(0) > 0 {}
            let _client_left = stream.write_all(answer.as_bytes()).await;
            if answer.is_empty() {
                tokio::time::sleep(Duration::from_secs(1_000)).await;
            }
        }
    });
    address
}

fn target(address: SocketAddr) -> ProbeTarget {
    ProbeTarget { address, environment: BTreeMap::new(), folder: PathBuf::from("/"), label: "1.0".into() }
}

async fn http(answer: &'static str, timeout: Millis) -> ProbeResult {
    let kind = ProbeKind::Http { path: "/health".into(), host: None, expect: StatusRange::SUCCESS };
    ask(&kind, &target(server(answer).await), timeout).await
}

async fn command(script: &str, timeout: Millis) -> ProbeResult {
    let mut target = target(SocketAddr::from(([127, 0, 0, 1], 4_711)));
    target.environment.insert("WHO".into(), "me".into());
    ask(&ProbeKind::Command { argv: vec!["sh".into(), "-c".into(), script.into()] }, &target, timeout).await
}

#[tokio::test]
async fn an_answer_is_judged_by_its_status() {
    assert_eq!(http("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", PATIENT).await, ProbeResult::Passed);
    assert_eq!(http("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No\r\n\r\n", PATIENT).await, ProbeResult::Passed);
    let failed = http("HTTP/1.1 503 Not yet\r\n\r\n", PATIENT).await;
    assert_eq!(failed, ProbeResult::Failed(ProbeFailure::Status(503)));
    let kind = ProbeKind::Http { path: "/health".into(), host: None, expect: StatusRange::SUCCESS };
    let told = ProbeFailure::Status(404).about(&kind, SocketAddr::from(([127, 0, 0, 1], 9)));
    assert_eq!(told, "/health answered 404");
}

#[tokio::test]
async fn what_is_no_answer_fails() {
    for answer in ["SSH-2.0-OpenSSH\r\n\r\n", "HTTP/1.1 200", "HTTP/1.1 100 Continue\r\n\r\n"] {
        let result = http(answer, PATIENT).await;
        assert!(matches!(result, ProbeResult::Failed(ProbeFailure::Answer(_))), "{answer:?}: {result:?}");
    }
    let endless: &'static str =
        Box::leak(format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "x".repeat(100_000)).into_boxed_str());
    assert!(matches!(http(endless, PATIENT).await, ProbeResult::Failed(ProbeFailure::Answer(_))));
}

#[tokio::test]
async fn one_that_hangs_in_its_health_check_fails_in_time() {
    let begun = Instant::now();
    assert_eq!(http("", Millis(200)).await, ProbeResult::Failed(ProbeFailure::TimedOut(Millis(200))));
    assert!(begun.elapsed() < Duration::from_secs(20));
}

#[tokio::test]
async fn one_that_never_listens_fails() {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = free.local_addr().unwrap();
    assert_eq!(ask(&ProbeKind::Tcp, &target(address), PATIENT).await, ProbeResult::Passed);
    drop(free);
    let result = ask(&ProbeKind::Tcp, &target(address), PATIENT).await;
    let ProbeResult::Failed(failure @ ProbeFailure::Connect(_)) = result else { panic!("{result:?}") };
    assert_eq!(failure.about(&ProbeKind::Tcp, address), format!("connection refused on {address}"));
}

#[tokio::test]
async fn a_command_passes_by_its_exit_code_and_fails_with_its_last_words() {
    assert_eq!(
        command("test $WHO = me && test {port} = 4711 && test {release} = 1.0", PATIENT).await,
        ProbeResult::Passed
    );
    let ProbeResult::Failed(ProbeFailure::Command(reason)) = command("echo not ready >&2; exit 4", PATIENT).await
    else {
        panic!("it passed")
    };
    assert!(reason.contains('4') && reason.contains("not ready"), "{reason}");
}

#[tokio::test]
async fn a_command_that_hangs_is_killed_with_all_it_started() {
    let folder = tempfile::tempdir().unwrap();
    let note = folder.path().join("pid");
    let script = format!("sleep 1000 & echo $! > {}; wait", note.display());
    assert_eq!(command(&script, Millis(1_500)).await, ProbeResult::Failed(ProbeFailure::TimedOut(Millis(1_500))));
    let pid = std::fs::read_to_string(note).unwrap();
    let gone = || std::fs::read_to_string(format!("/proc/{}/stat", pid.trim())).is_ok_and(|stat| !stat.contains(") Z"));
    let deadline = Instant::now() + Duration::from_secs(20);
    while gone() {
        assert!(Instant::now() < deadline, "{pid} lives on");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
