//! A link against a proxy that the test plays.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::fd::AsFd;
use std::os::unix::net::UnixListener;
use std::time::Duration;

use gapless_model::{ControllerId, Epoch, Generation, TableVersion, Term};
use gapless_routing::TableSpec;
use gapless_wire::control::{FromProxy, Hello, ProxyHello, ReportDoc, ToProxy};

use super::*;

const SOON: Duration = Duration::from_secs(10);

fn hello() -> ProxyHello {
    ProxyHello {
        hello: Hello::ours(),
        proxy: "p-1".into(),
        pid: 1,
        threads: 2,
        applied: None,
        listeners: Vec::new(),
        started_unix_ms: 0,
        leaving: false,
    }
}

fn term(epoch: u64) -> Term {
    Term { epoch: Epoch(epoch), controller: ControllerId::new("c-1").ok() }
}

/// Accepts one controller, checks its Hello, and answers with a frame.
async fn accept(listener: UnixListener, answer: FromProxy) -> (FrameReader, FrameWriter) {
    let (stream, _) = listener.accept().unwrap();
    let (mut reader, mut writer) = split(stream).unwrap();
    assert!(matches!(reader.message().await.unwrap(), Some(ToProxy::Hello { epoch: 4, .. })));
    writer.send(&answer, &[]).await.unwrap();
    (reader, writer)
}

#[tokio::test]
async fn tables_and_listeners_go_out_and_events_come_in() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("proxy.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let connecting = tokio::spawn(async move { ProxyLink::connect(&path, &term(4), SOON).await });
    tokio::task::yield_now().await;
    let (mut reader, mut writer) = accept(listener, FromProxy::Hello(hello())).await;
    let (link, mut events) = connecting.await.unwrap().unwrap();
    assert_eq!((link.hello().threads, link.id().to_string(), link.applied()), (2, "p-1".to_owned(), None));

    let version = TableVersion { epoch: Epoch(4), generation: Generation(9) };
    link.publish(&TableSpec { version, services: Vec::new() }).await.unwrap();
    let Some(ToProxy::Table { table }) = reader.message().await.unwrap() else { panic!("no table") };
    assert_eq!(table.open().unwrap().version, version);
    assert_eq!(table.controller(), term(4).controller);
    writer.send(&FromProxy::Applied { version: version.into() }, &[]).await.unwrap();
    assert!(matches!(events.next().await, Some(ProxyEvent::Applied(applied)) if applied == version));

    let ours = open_listeners("127.0.0.1:0".parse().unwrap(), 2).unwrap();
    link.lend_listeners(&ours).await.unwrap();
    let Some(ToProxy::Listeners { addresses }) = reader.message().await.unwrap() else { panic!("no listeners") };
    assert_eq!(addresses, vec![ours[0].address.to_string(); 2]);
    let theirs = reader.descriptors(2).unwrap();
    drop(ours);
    let parts = [(0, 1), (1, 0)];
    for (index, parts_left) in parts {
        let message = FromProxy::Listeners { addresses: vec![addresses[0].clone()], parts_left };
        writer.send(&message, &[theirs[index].as_fd()]).await.unwrap();
    }
    let Some(ProxyEvent::Listeners(back)) = events.next().await else { panic!("no listeners") };
    drop(theirs);
    let mut client = TcpStream::connect(back[0].address).unwrap();
    client.write_all(b"x").unwrap();
    for listening in &back {
        listening.socket.set_nonblocking(true).unwrap();
    }
    let accepted = || back.iter().find_map(|listening| listening.socket.accept().ok());
    let (mut stream, _) = loop {
        match accepted() {
            Some(stream) => break stream,
            None => tokio::task::yield_now().await,
        }
    };
    stream.set_nonblocking(false).unwrap();
    stream.read_exact(&mut [0]).unwrap();

    writer.send(&FromProxy::Report(ReportDoc { number: 7, ..ReportDoc::default() }), &[]).await.unwrap();
    writer.send(&serde_json::json!({ "type": "of the future" }), &[]).await.unwrap();
    drop((reader, writer));
    assert!(matches!(events.next().await, Some(ProxyEvent::Report(ReportDoc { number: 7, .. }))));
    assert!(matches!(events.next().await, Some(ProxyEvent::Closed(LinkFailed::Closed))));
    assert!(events.next().await.is_none());
}

#[tokio::test]
async fn a_proxy_that_obeys_another_or_speaks_another_protocol_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let foreign = ProxyHello { hello: Hello { protocol: 99, ..Hello::ours() }, ..hello() };
    for (answer, expected) in [
        (FromProxy::Fenced { epoch: 8, controller: None }, "the proxy obeys another controller, of epoch 8"),
        (FromProxy::Hello(foreign), "the proxy speaks protocol 99"),
        (FromProxy::Drained, "the proxy did not introduce itself"),
    ] {
        let path = folder.path().join("proxy.sock");
        let _gone = std::fs::remove_file(&path);
        let listener = UnixListener::bind(&path).unwrap();
        let connecting = tokio::spawn(async move { ProxyLink::connect(&path, &term(4), SOON).await });
        tokio::task::yield_now().await;
        let _kept = accept(listener, answer).await;
        assert_eq!(connecting.await.unwrap().unwrap_err().to_string(), expected);
    }
    let nobody = ProxyLink::connect(&folder.path().join("none"), &term(4), Duration::from_millis(50)).await;
    assert!(matches!(nobody, Err(LinkFailed::Connect { .. })));
}

#[tokio::test]
async fn dropping_the_link_closes_the_connection() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("proxy.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let connecting = tokio::spawn(async move { ProxyLink::connect(&path, &term(4), SOON).await });
    tokio::task::yield_now().await;
    let (mut reader, _writer) = accept(listener, FromProxy::Hello(hello())).await;
    let (link, _events) = connecting.await.unwrap().unwrap();
    link.ping(3).await.unwrap();
    drop(link);
    assert_eq!(reader.message::<ToProxy>().await.unwrap(), Some(ToProxy::Ping { number: 3 }));
    assert_eq!(reader.message::<ToProxy>().await.unwrap(), None);
}

#[test]
fn an_address_that_another_program_shares_out_counts_as_in_use() {
    let first = open_listeners("127.0.0.1:0".parse().unwrap(), 3).unwrap();
    assert!(first.iter().all(|listening| listening.address == first[0].address && listening.address.port() != 0));
    let second = open_listeners(first[0].address, 1).unwrap_err();
    assert_eq!(second.to_string(), format!("address {} is in use by another program", first[0].address));
    let foreign = open_listeners("203.0.113.1:0".parse().unwrap(), 1).unwrap_err();
    assert!(matches!(foreign, ListenFailed::Refused { .. }));
}
