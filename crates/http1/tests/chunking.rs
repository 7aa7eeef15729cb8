//! Cutting the input at any places gives the same events.

use gapless_http1::{BodyDecoder, Framing, Piece, Reject, Slots, parse_request};
use proptest::prelude::*;

/// What a stream of requests comes to: their heads, bodies and trailers, and how it ended.
#[derive(Debug, Default, PartialEq, Eq)]
struct Events {
    requests: Vec<(String, Vec<u8>, Vec<u8>)>,
    rejected: Option<Reject>,
}

/// Reads requests from input that comes in these parts.
fn read(parts: &[&[u8]]) -> Events {
    let mut events = Events::default();
    let mut body: Option<BodyDecoder> = None;
    let mut kept: Vec<u8> = Vec::new();
    for part in parts {
        kept.extend_from_slice(part);
        loop {
            if let Some(decoder) = &mut body {
                let (used, piece) = match decoder.decode(&kept) {
                    Ok(step) => step,
                    Err(reject) => {
                        events.rejected = Some(reject);
                        return events;
                    }
                };
                let request = events.requests.last_mut().unwrap();
                let starved = match piece {
                    Piece::Data(data) => {
                        request.1.extend_from_slice(data);
                        false
                    }
                    Piece::Trailers(lines) => {
                        request.2.extend_from_slice(lines);
                        false
                    }
                    Piece::Starved => true,
                    Piece::End => {
                        body = None;
                        false
                    }
                };
                kept.drain(..used);
                if starved {
                    break;
                }
            } else {
                let mut slots = Slots::new();
                match parse_request(&kept, &mut slots) {
                    Ok(None) => break,
                    Ok(Some(head)) => {
                        let text = String::from_utf8_lossy(&kept[..head.length]).into_owned();
                        body = Some(BodyDecoder::new(head.framing));
                        let used = head.length;
                        events.requests.push((text, Vec::new(), Vec::new()));
                        kept.drain(..used);
                    }
                    Err(reject) => {
                        events.rejected = Some(reject);
                        return events;
                    }
                }
            }
        }
    }
    events
}

fn chunked_body(chunks: &[Vec<u8>], extension: &str, trailer: &str) -> Vec<u8> {
    let mut body = Vec::new();
    for chunk in chunks.iter().filter(|chunk| !chunk.is_empty()) {
        body.extend(format!("{:X}{extension}\r\n", chunk.len()).into_bytes());
        body.extend_from_slice(chunk);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(format!("0{extension}\r\n{trailer}\r\n").as_bytes());
    body
}

fn stream() -> impl Strategy<Value = Vec<u8>> {
    let bytes = || prop::collection::vec(any::<u8>(), 0..40);
    let extension = prop::sample::select(vec!["", ";a", ";a=b", ";a=\"q;\\\"x\""]);
    let trailer = prop::sample::select(vec!["", "X-Sum: 1\r\n", "A: b\r\nC: d\r\n"]);
    let counted = bytes().prop_map(|body| {
        let mut all = format!("PUT /c HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", body.len()).into_bytes();
        all.extend(body);
        all
    });
    let chunked =
        (prop::collection::vec(bytes(), 0..4), extension, trailer).prop_map(|(chunks, extension, trailer)| {
            let mut all = b"POST /k HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
            all.extend(chunked_body(&chunks, extension, trailer));
            all
        });
    let plain = Just(b"GET /p HTTP/1.1\r\nHost: a\r\nX-Long: 0123456789\r\n\r\n".to_vec());
    let broken = prop::sample::select(vec![
        &b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"[..],
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\nhello\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhelloX\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA : b\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA: b\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n 5\r\nhello\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1000000000000000\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\r\n\r\n",
    ])
    .prop_map(<[u8]>::to_vec);
    let one = prop_oneof![3 => counted, 3 => chunked, 2 => plain, 1 => broken];
    prop::collection::vec(one, 1..5).prop_map(|all| all.concat())
}

fn cut<'a>(bytes: &'a [u8], places: &[prop::sample::Index]) -> Vec<&'a [u8]> {
    let mut places: Vec<usize> = places.iter().map(|place| place.index(bytes.len() + 1)).collect();
    places.sort_unstable();
    let mut parts = Vec::new();
    let mut from = 0;
    for place in places {
        parts.push(&bytes[from..place]);
        from = place;
    }
    parts.push(&bytes[from..]);
    parts
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_cutting_gives_the_same_events(bytes in stream(), places in prop::collection::vec(any::<prop::sample::Index>(), 0..12)) {
        let whole = read(&[&bytes]);
        prop_assert_eq!(&read(&cut(&bytes, &places)), &whole);
        let singly: Vec<&[u8]> = bytes.chunks(1).collect();
        prop_assert_eq!(&read(&singly), &whole);
    }

    #[test]
    fn no_input_makes_the_reader_fail_otherwise_than_by_rejecting(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        read(&[&bytes]);
        let mut chunked = BodyDecoder::new(Framing::Chunked);
        let mut rest = &bytes[..];
        while let Ok((used, piece)) = chunked.decode(rest) {
            rest = &rest[used..];
            if matches!(piece, Piece::Starved | Piece::End) {
                break;
            }
        }
    }
}

#[test]
fn the_corpus_has_both_whole_and_rejected_streams() {
    let good = read(&[b"PUT /c HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhiGET / HTTP/1.1\r\nHost: a\r\n\r\n"]);
    assert_eq!(good.requests.len(), 2);
    assert_eq!(good.requests[0].1, b"hi");
    let chunked = chunked_body(&[b"abc".to_vec(), b"de".to_vec()], ";x=\"y\"", "X-Sum: 1\r\n");
    let head = b"POST /k HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    let events = read(&[head, &chunked]);
    assert_eq!(events.requests[0].1, b"abcde");
    assert_eq!(events.requests[0].2, b"X-Sum: 1\r\n");
    let bad = read(&[head, b"5\nhello\r\n0\r\n\r\n"]);
    assert_eq!(bad.rejected, Some(Reject::Chunk));
}
