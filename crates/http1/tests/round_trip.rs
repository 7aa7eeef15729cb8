//! I14: what is rendered for the next hop parses to the message that was received, less what belongs to one hop, plus ours.

use gapless_http1::{
    BodyDecoder, Delivery, Forwarding, Framing, Inbound, Persistence, Piece, RequestContext, Slots, Version,
    parse_request, parse_response, write_chunk, write_request, write_response, write_trailers,
};
use proptest::prelude::*;

const OURS: Forwarding<'static> = Forwarding {
    peer_line: b"X-Forwarded-For: 192.0.2.1\r\n",
    protocol_line: b"X-Forwarded-Proto: http\r\n",
    request_id: b"id-1",
    inbound: Inbound::Dropped,
};

fn rendered(text: &str, forwarding: &Forwarding<'_>) -> String {
    let mut slots = Slots::new();
    let head = parse_request(text.as_bytes(), &mut slots).unwrap().unwrap();
    let mut out = Vec::new();
    write_request(&mut out, &head, forwarding);
    let mut slots = Slots::new();
    let again = parse_request(&out, &mut slots).unwrap().unwrap();
    assert_eq!(again.length, out.len());
    assert_eq!((again.method, again.target, again.framing), (head.method, head.target, head.framing));
    String::from_utf8(out).unwrap()
}

fn answered(text: &str, version: Version, persistence: Persistence) -> String {
    let mut slots = Slots::new();
    let head = parse_response(text.as_bytes(), &mut slots, RequestContext::Other).unwrap().unwrap();
    let delivery = Delivery::of(&head, version, persistence);
    let mut out = Vec::new();
    write_response(&mut out, &head, delivery, version);
    let mut slots = Slots::new();
    let again = parse_response(&out, &mut slots, RequestContext::Other).unwrap().unwrap();
    assert_eq!((again.status, again.framing, again.length), (head.status, delivery.framing, out.len()));
    String::from_utf8(out).unwrap()
}

#[test]
fn hop_by_hop_lines_go_and_ours_come_last() {
    let text = "GET /a?b HTTP/1.1\r\nHost: Shop\r\nConnection: keep-alive, X-Hop\r\nX-Hop: 1\r\nX-End: 2\r\nKeep-Alive: \
                timeout=5\r\nTE: trailers\r\nProxy-Connection: x\r\nUpgrade: h2c\r\nHTTP2-Settings: x\r\n\r\n";
    assert_eq!(
        rendered(text, &OURS),
        "GET /a?b HTTP/1.1\r\nHost: Shop\r\nX-End: 2\r\nX-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: http\r\n\
         X-Forwarded-Host: Shop\r\nX-Request-Id: id-1\r\n\r\n"
    );
}

#[test]
fn naming_our_lines_in_connection_does_not_strip_them() {
    let text = "POST / HTTP/1.1\r\nHost: a\r\nConnection: X-Forwarded-Host, X-Forwarded-For, Content-Length, Host, \
                X-Request-Id\r\nContent-Length: 3\r\n\r\n";
    let out = rendered(text, &OURS);
    for line in [
        "X-Forwarded-Host: a\r\n",
        "X-Forwarded-For: 192.0.2.1\r\n",
        "Content-Length: 3\r\n",
        "Host: a\r\n",
        "X-Request-Id: id-1\r\n",
    ] {
        assert!(out.contains(line), "{line:?} in {out:?}");
    }
}

#[test]
fn what_strangers_say_of_themselves_is_dropped_however_it_is_spelled() {
    let text = "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 1.1.1.1\r\nX_Forwarded_For: 1.1.1.1\r\nx-forwarded-proto: https\r\n\
                X-Forwarded-Port: 1\r\nForwarded: for=1.1.1.1\r\nX-Real-IP: 1.1.1.1\r\nX_Real_IP: 1.1.1.1\r\n\r\n";
    assert!(!rendered(text, &OURS).contains("1.1.1.1"));
    assert_eq!(rendered(text, &OURS).matches("orwarded").count(), 3);
    let trusted = Forwarding { inbound: Inbound::Trusted, ..OURS };
    let out = rendered(text, &trusted);
    assert!(out.contains("X-Forwarded-For: 1.1.1.1\r\n") && out.contains("X-Forwarded-For: 192.0.2.1\r\n"));
    assert!(!out.contains("X-Forwarded-Proto: http\r\n"), "the trusted proxy knows better");
}

#[test]
fn an_upgrade_is_offered_on() {
    let text = "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    let out = rendered(text, &OURS);
    assert!(out.contains("Upgrade: websocket\r\n") && out.contains("Connection: Upgrade\r\n"));
}

#[test]
fn only_one_well_formed_id_of_a_trusted_peer_is_kept() {
    let trusted = Forwarding { inbound: Inbound::Trusted, ..OURS };
    let with = |lines: &str, forwarding: &Forwarding<'_>| {
        let out = rendered(&format!("GET / HTTP/1.1\r\nHost: a\r\n{lines}\r\n"), forwarding);
        let ids: Vec<String> =
            out.lines().filter_map(|line| line.strip_prefix("X-Request-Id: ")).map(str::to_owned).collect();
        assert_eq!(out.to_ascii_lowercase().matches("request").count(), 1, "{out:?}");
        ids.join(" and ")
    };
    let long = "a".repeat(129);
    assert_eq!(with("X-Request-Id: mine.1_2-3:4/5+6=@\r\n", &trusted), "mine.1_2-3:4/5+6=@");
    assert_eq!(with(&format!("X-Request-Id: {}\r\n", &long[..128]), &trusted), long[..128]);
    for bad in [
        "X-Request-Id:\r\n".to_owned(),
        "X-Request-Id: a\r\nX-Request-Id: b\r\n".to_owned(),
        "X_Request_Id: a\r\n".to_owned(),
        "X-Request-Id: a b\r\n".to_owned(),
        "X-Request-Id: \"a\"\r\n".to_owned(),
        format!("X-Request-Id: {long}\r\n"),
    ] {
        assert_eq!(with(&bad, &trusted), "id-1", "{bad:?}");
    }
    assert_eq!(with("X-Request-Id: forged\r\n", &OURS), "id-1");
}

#[test]
fn names_that_we_understand_do_not_pass_with_underscores_even_from_a_trusted_peer() {
    let trusted = Forwarding { inbound: Inbound::Trusted, ..OURS };
    let text = "GET / HTTP/1.1\r\nHost: a\r\nX_Forwarded_For: 6.6.6.6\r\nX-Forwarded_Proto: 6.6.6.6\r\nX_Real_IP: 6.6.6.6\r\n\
                X_Request_Id: 6.6.6.6\r\nKeep_Alive: 6.6.6.6\r\nX_Gapless_Preview: 6.6.6.6\r\nX-Gapless-Preview: 6.6.6.6\r\n\
                X_Forwarded_But_Longer_Than_Any_Name_That_Is_Known: 6.6.6.6\r\nX_Own: 7.7.7.7\r\n\r\n";
    for forwarding in [&OURS, &trusted] {
        let out = rendered(text, forwarding);
        assert!(!out.contains("6.6.6.6") && out.contains("X_Own: 7.7.7.7\r\n"), "{out}");
    }
}

#[test]
fn an_offer_of_h2c_is_not_passed_on() {
    let text =
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: x\r\n\r\n";
    assert!(!rendered(text, &OURS).to_ascii_lowercase().contains("upgrade"));
}

#[test]
fn equal_lengths_become_one_and_an_absolute_target_a_path() {
    let text = "PUT http://a/x HTTP/1.1\r\nContent-Length: 1\r\nHost: a\r\nContent-Length: 1\r\n\r\n";
    let out = rendered(text, &OURS);
    assert!(out.starts_with("PUT /x HTTP/1.1\r\nContent-Length: 1\r\nHost: a\r\nX-F"), "{out:?}");
}

#[test]
fn responses_are_framed_for_the_client() {
    let close = Persistence::Close;
    let keep = Persistence::KeepAlive;
    let (old, new) = (Version::Http10, Version::Http11);
    let counted = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\nKeep-Alive: timeout=5\r\nX: 1\r\n\r\n";
    assert_eq!(answered(counted, new, keep), "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nX: 1\r\n\r\n");
    assert_eq!(
        answered(counted, new, close),
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nX: 1\r\nConnection: close\r\n\r\n"
    );
    assert_eq!(
        answered(counted, old, keep),
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nX: 1\r\nConnection: keep-alive\r\n\r\n"
    );
    let chunked = "HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert_eq!(answered(chunked, new, keep), "HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\n");
    assert_eq!(answered(chunked, old, keep), "HTTP/1.1 404 Not Found\r\nConnection: close\r\n\r\n");
    let until_close = "HTTP/1.0 200 Fine\r\nX: 1\r\n\r\n";
    assert_eq!(answered(until_close, new, keep), "HTTP/1.1 200 Fine\r\nX: 1\r\nTransfer-Encoding: chunked\r\n\r\n");
    let empty = "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(answered(empty, new, keep), "HTTP/1.1 204 No Content\r\n\r\n");
    let unmodified = "HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n";
    assert_eq!(answered(unmodified, new, keep), unmodified);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn heads_keep_every_line_that_is_end_to_end(
        lines in prop::collection::vec(("[A-Wa-w][A-Za-z-]{0,10}", "[ -~\\x80-\\xff]{0,20}"), 0..20),
        path in "/[a-z/%?=&.]{0,30}",
    ) {
        let known = |name: &str| {
            let name = name.to_ascii_lowercase();
            ["host", "connection", "te", "expect", "upgrade", "forwarded", "keep-alive", "content-length", "transfer-encoding"]
                .contains(&name.as_str())
        };
        let lines: Vec<_> = lines.into_iter().filter(|(name, _)| !known(name)).collect();
        let mut text = format!("GET {path} HTTP/1.1\r\nHost: a\r\n");
        for (name, value) in &lines {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        text.push_str("\r\n");
        let mut slots = Slots::new();
        let head = parse_request(text.as_bytes(), &mut slots).unwrap().unwrap();
        let mut out = Vec::new();
        write_request(&mut out, &head, &OURS);
        let mut slots = Slots::new();
        let again = parse_request(&out, &mut slots).unwrap().unwrap();
        let before: Vec<_> = head.lines.iter().collect();
        let after: Vec<_> = again.lines.iter().take(before.len()).collect();
        prop_assert_eq!(before, after);
        prop_assert_eq!(again.target, path);
    }

    #[test]
    fn chunks_written_are_the_chunks_read(chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..300), 0..6)) {
        let mut out = Vec::new();
        for chunk in &chunks {
            write_chunk(&mut out, chunk);
        }
        write_trailers(&mut out, b"X-Sum: 1\r\nContent-Length: 5\r\nSet-Cookie: a\r\n");
        let mut decoder = BodyDecoder::new(Framing::Chunked);
        let (mut body, mut trailers, mut rest) = (Vec::new(), Vec::new(), &out[..]);
        loop {
            let (used, piece) = decoder.decode(rest).unwrap();
            rest = &rest[used..];
            match piece {
                Piece::Data(data) => body.extend_from_slice(data),
                Piece::Trailers(lines) => trailers.extend_from_slice(lines),
                Piece::Starved => panic!("whole input, starved reader"),
                Piece::End => break,
            }
        }
        prop_assert_eq!(body, chunks.concat());
        prop_assert_eq!(trailers, b"X-Sum: 1\r\n".to_vec());
        prop_assert!(rest.is_empty());
    }
}
