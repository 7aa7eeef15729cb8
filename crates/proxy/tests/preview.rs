//! Previews take a right: the token of the rollout, or a trusted peer. They are nobody's cost.

mod world;

use gapless_model::{HoldLimits, Millis, ReleaseId, ReleaseLabel, Weight};
use gapless_proxy::data::Settings;
use gapless_routing::{Audience, PreviewToken, Terminal};
use world::{Instance, Plan, World, until};

const TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// A service whose current release is 1.0; the candidate 2.0 has no weight.
fn world(current: &Instance, candidate: &Instance, settings: Settings) -> World {
    let mut plan = Plan::of(&[current]);
    plan.preview_token = Some(PreviewToken::new(TOKEN).unwrap());
    plan.candidate = Some((ReleaseId(2), ReleaseLabel::new("2.0").unwrap(), Weight::NONE, candidate.address));
    World::with(&plan, settings, 1)
}

fn ask(world: &World, values: &[&str]) -> (u16, String) {
    let lines: String = values.iter().map(|value| format!("X-Gapless-Preview: {value}\r\n")).collect();
    let answer = world.client().ask(format!("GET / HTTP/1.1\r\nHost: shop.test\r\n{lines}\r\n"));
    (answer.status(), answer.text())
}

#[test]
fn a_preview_takes_the_token_of_the_rollout_and_is_ignored_without() {
    let (current, candidate) = (Instance::named("current"), Instance::named("candidate"));
    let world = world(&current, &candidate, Settings::default());
    let right = format!("2.0:{TOKEN}");
    assert_eq!(ask(&world, &[&right]), (200, "candidate".into()));
    assert_eq!(ask(&world, &["2.0", &right]), (200, "candidate".into()), "as checks ask, for older proxies' sake");
    assert_eq!(ask(&world, &[&format!("1.0:{TOKEN}")]), (200, "current".into()));
    assert_eq!(ask(&world, &[&format!("3.0:{TOKEN}")]).0, 404, "the right to see, and nothing to see");
    let wrong = format!("2.0:{}", TOKEN.replace('0', "1"));
    for guessed in ["2.0", "2.0:", "", ":", "3.0", TOKEN, &wrong, &right[..right.len() - 1]] {
        assert_eq!(ask(&world, &[guessed]), (200, "current".into()), "{guessed:?}");
    }
    assert_eq!(candidate.count(), 2);
}

#[test]
fn a_trusted_peer_needs_the_label_alone() {
    let (current, candidate) = (Instance::named("current"), Instance::named("candidate"));
    let settings = Settings { trusted_peers: vec!["127.0.0.0/8".parse().unwrap()], ..Settings::default() };
    let world = world(&current, &candidate, settings);
    assert_eq!(ask(&world, &["2.0"]), (200, "candidate".into()));
    assert_eq!(ask(&world, &["3.0"]).0, 404);
    assert_eq!(ask(&world, &[]), (200, "current".into()));
}

#[test]
fn the_header_ends_at_the_proxy_and_is_still_obeyed_when_the_request_is_tried_again() {
    let current = Instance::named("current");
    // The first connection is kept and then ended as the second request comes: that one is sent again, elsewhere.
    let candidate = Instance::start(|number, connection, requests| {
        while let Some(request) = connection.message() {
            requests.lock().unwrap().push(request);
            if number == 0 && requests.lock().unwrap().len() > 1 {
                return;
            }
            connection.send(world::ok("candidate"));
        }
    });
    let world = world(&current, &candidate, Settings::default());
    let mut client = world.client();
    for _ in 0..2 {
        let request = format!("GET / HTTP/1.1\r\nHost: shop.test\r\nX-Gapless-Preview: 2.0:{TOKEN}\r\n\r\n");
        assert_eq!(client.ask(request).text(), "candidate");
    }
    assert_eq!((current.count(), candidate.count()), (0, 3));
    let requests = candidate.requests.lock().unwrap();
    assert!(requests.iter().all(|request| !request.head.to_ascii_lowercase().contains("preview")));
}

#[test]
fn previews_are_counted_apart() {
    let current = Instance::named("current");
    let candidate = Instance::start(|_, connection, _| drop(connection.head()));
    let world = world(&current, &candidate, Settings::default());
    let post =
        format!("POST / HTTP/1.1\r\nHost: shop.test\r\nX-Gapless-Preview: 2.0:{TOKEN}\r\nContent-Length: 1\r\n\r\nx");
    assert_eq!(world.client().ask(post).status(), 502);
    assert_eq!(ask(&world, &[]).0, 200);
    until("both are counted", || world.ledger().total() == 2);
    for (series, audience) in world.series() {
        let counts = world.plane.series(series);
        let failed = counts.total()
            - counts
                .terminals
                .iter()
                .zip(Terminal::all())
                .filter(|(_, terminal)| matches!(terminal, Terminal::Answered(_)))
                .map(|(count, _)| count)
                .sum::<u64>();
        assert_eq!(failed, u64::from(audience == Audience::Preview && counts.total() > 0), "series {series}");
    }
}

#[test]
fn a_preview_of_what_refuses_connections_is_answered_at_once_and_nobody_waits_behind_it() {
    let current = Instance::named("current");
    let mut plan = Plan::of(&[&current]);
    plan.hold = HoldLimits { requests_max: 100, wait_max: Millis(600_000) };
    plan.preview_token = Some(PreviewToken::new(TOKEN).unwrap());
    plan.candidate = Some((ReleaseId(2), ReleaseLabel::new("2.0").unwrap(), Weight::NONE, world::nobody()));
    let world = World::new(&plan);
    for _ in 0..3 {
        assert_eq!(ask(&world, &[&format!("2.0:{TOKEN}")]).0, 502);
        assert_eq!(ask(&world, &[]), (200, "current".into()));
    }
    assert_eq!(world.ends(6), "2xx:3 by_us.connect_failed:3");
    assert_eq!(world.ledger().held, 0);
}
