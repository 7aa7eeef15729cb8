//! Checks of a candidate against servers that do it right and servers that do not.

use std::net::SocketAddr;
use std::path::PathBuf;

use gapless_drivers::check::{self, CheckTarget};
use gapless_model::{Check, CheckKind, Millis, ReleaseLabel, StatusRange};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

const PATIENT: Millis = Millis(20_000);

/// A server that reads a head and answers with these bytes, then closes; the head it got is answered where `{head}` stands.
async fn server(answer: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") && stream.read_buf(&mut head).await.unwrap_or(0) > 0 {}
            let answer = answer.replace("{head}", &String::from_utf8_lossy(&head));
            let _client_left = stream.write_all(answer.as_bytes()).await;
        }
    });
    address
}

async fn checked(answer: &'static str, contains: Option<&str>) -> Result<(), String> {
    let kind =
        CheckKind::Http { path: "/api".into(), expect: StatusRange::SUCCESS, contains: contains.map(str::to_owned) };
    run_check(kind, server(answer).await).await
}

async fn run_check(kind: CheckKind, proxy: SocketAddr) -> Result<(), String> {
    let target = CheckTarget {
        proxy,
        host: Some("shop.example.com".into()),
        prefix: "/shop".into(),
        preview: ReleaseLabel::new("2.0").unwrap(),
        preview_header: "2.0:token".into(),
        folder: PathBuf::from("/"),
    };
    check::run(&Check { name: "smoke".into(), kind, timeout: PATIENT }, &target).await.map_err(|e| e.to_string())
}

#[tokio::test]
async fn a_check_reaches_the_candidate_by_the_preview_header() {
    let echo = "HTTP/1.1 200 OK\r\n\r\n{head}";
    for part in ["GET /shop/api HTTP/1.1\r\n", "Host: shop.example.com\r\n", "X-Gapless-Preview: 2.0:token\r\n"] {
        checked(echo, Some(part)).await.unwrap();
    }
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2;x=y\r\nlo\r\n0\r\n\r\n";
    checked(chunked, Some("hello")).await.unwrap();
    let error = checked(chunked, Some("goodbye")).await.unwrap_err();
    assert!(error.contains("smoke") && error.contains("goodbye"), "{error}");
    assert!(checked("HTTP/1.1 404 No\r\n\r\n", None).await.unwrap_err().contains("404"));
    let script =
        "test $GAPLESS_PREVIEW = 2.0:token && case $GAPLESS_URL in http://127.0.0.1:*/shop) ;; *) exit 1;; esac";
    let kind = CheckKind::Command { argv: vec!["sh".into(), "-c".into(), script.into()] };
    run_check(kind, SocketAddr::from(([127, 0, 0, 1], 80))).await.unwrap();
}
