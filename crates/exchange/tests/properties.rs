//! Whatever happens to a request in whatever order: one end, no attempt leaked, nothing sent twice without permission. No sockets, no clock, no table:
//! events are drawn, and what must hold is kept beside the exchange by a witness that knows the rules in its own words.

use gapless_exchange::{
    Answer, Bounds, Connection, Delivery, Due, Exchange, Excuse, Failed, Failure, HoldAsk, Holding, Late, Left, Method,
    Next, Reached, Request, RouteQuery, Sight, Todo, Upload, route,
};
use gapless_model::{
    Balance, Epoch, Generation, HoldLimits, Host, InstanceId, Millis, PathPrefix, ReleaseId, ReleaseLabel, Route,
    ServiceName, TableVersion, Tick, TrafficPolicy, Weight,
};
use gapless_routing::{
    Asker, BodyKept, CutReason, Draw, InstanceSpec, Intake, KeySent, OurAnswer, PeerTrust, PoolSpec, PoolView,
    Registry, RetryBudget, ServiceSpec, Slot, Standing, Table, TableSpec, Terminal,
};
use proptest::prelude::*;

/// What may happen. What cannot happen now is passed over.
#[derive(Debug, Clone, Copy)]
enum Happens {
    Routed { refused: bool, kept: bool },
    Failed { failure: Failure, reached: Reached, body: BodyKept },
    Begun { status: u16 },
    Whole,
    Exchanged,
    Switched,
    Lasting,
    Delivered,
    Held { waiting: usize },
    LetGo,
    OverloadedByUs,
    Looked { upload: Upload, output: bool, ended: bool },
    ClientLeft { delivery: Delivery },
    Cut { delivery: Delivery },
    TimePasses { ms: u64 },
}

fn happens() -> impl Strategy<Value = Happens> {
    use Happens as H;
    let failure = prop_oneof![
        Just(Failure::Refused),
        Just(Failure::ConnectTimeout),
        Just(Failure::Ended),
        Just(Failure::Broken),
        Just(Failure::Malformed),
        Just(Failure::OutOfStep),
    ];
    let reached =
        prop_oneof![Just(Reached::Nothing), Just(Reached::PartOfHead), Just(Reached::Unseen), Just(Reached::Some)];
    let body = prop_oneof![4 => Just(BodyKept::Whole), 1 => Just(BodyKept::Dropped)];
    let delivery = || prop_oneof![Just(Delivery::Taken), Just(Delivery::Outstanding)];
    let upload = prop_oneof![
        Just(Upload::AwaitsInstance),
        Just(Upload::AwaitsContinue),
        (0u64..10_000).prop_map(|bytes| Upload::AwaitsClient { bytes }),
        (0u64..100_000).prop_map(|at_ms| Upload::Whole { at_ms }),
    ];
    prop_oneof![
        12 => (any::<bool>(), any::<bool>()).prop_map(|(refused, kept)| H::Routed { refused: refused && kept, kept }),
        12 => (failure, reached, body).prop_map(|(failure, reached, body)| H::Failed { failure, reached, body }),
        4 => (200u16..600).prop_map(|status| H::Begun { status }),
        3 => Just(H::Whole),
        3 => Just(H::Exchanged),
        1 => Just(H::Switched),
        1 => Just(H::Lasting),
        2 => Just(H::Delivered),
        3 => (0usize..4).prop_map(|waiting| H::Held { waiting }),
        3 => Just(H::LetGo),
        1 => Just(H::OverloadedByUs),
        6 => (upload, any::<bool>(), any::<bool>()).prop_map(|(upload, output, ended)| H::Looked { upload, output, ended }),
        1 => delivery().prop_map(|delivery| H::ClientLeft { delivery }),
        1 => delivery().prop_map(|delivery| H::Cut { delivery }),
        4 => (0u64..20_000).prop_map(|ms| H::TimePasses { ms }),
    ]
}

const INSTANCES: u16 = 3;

fn policy(retries_max: u8, replay_with_idempotency_key: bool) -> TrafficPolicy {
    TrafficPolicy {
        balance: Balance::RoundRobin,
        connect_timeout: Millis(5_000),
        response_timeout: Millis(30_000),
        idle_timeout: Millis(10_000),
        body_rate_min: 10,
        retries_max,
        replay_with_idempotency_key,
        replay_bytes_max: 65_536,
        hold: HoldLimits::NONE,
        drain_timeout: Millis(30_000),
        tunnel_drain_timeout: Millis(60_000),
        slow_start: Millis::ZERO,
        eject_after_failures: 0,
        eject_above_peers: 0,
    }
}

fn table(policy: TrafficPolicy) -> Table {
    let service = ServiceName::new("shop").unwrap();
    let instance = |ordinal: u16| InstanceSpec {
        id: InstanceId { service: service.clone(), release: ReleaseId(1), ordinal: u64::from(ordinal) },
        address: ([127, 0, 0, 1], 4_000 + ordinal).into(),
    };
    let pool = PoolSpec {
        release: ReleaseId(1),
        label: ReleaseLabel::new("1.0").unwrap(),
        weight: Weight::ALL,
        policy,
        probe: None,
        preview_hosts: Vec::new(),
        instances: (1..=INSTANCES).map(instance).collect(),
    };
    let spec = ServiceSpec {
        name: service.clone(),
        routes: vec![Route { host: Host::any(), path: PathPrefix::new("/").unwrap() }],
        pools: vec![pool],
        intake: Intake::Serve,
        hold: HoldLimits::NONE,
        health_path: None,
        fallback: None,
        pins: None,
        preview_token: None,
    };
    let version = TableVersion { epoch: Epoch(1), generation: Generation(1) };
    Table::build(&TableSpec { version, services: vec![spec] }, &mut Registry::new(), Tick(0)).unwrap()
}

struct AllGood;

impl PoolView for AllGood {
    fn in_flight(&self, _: Slot) -> u32 {
        0
    }
    fn latency_us(&self, _: Slot) -> u64 {
        1
    }
    fn standing(&self, _: Slot) -> Standing {
        Standing::Good
    }
}

struct Seen {
    upload: Upload,
    output: bool,
    ended: bool,
    still_ms: u64,
    now_ms: u64,
}

impl Sight for Seen {
    fn has_output(&self) -> bool {
        self.output
    }
    fn progress_ms(&self) -> u64 {
        self.now_ms.saturating_sub(self.still_ms)
    }
    fn client_still_ms(&mut self, _: u64) -> u64 {
        self.still_ms
    }
    fn instance_still_ms(&mut self, _: u64) -> u64 {
        self.still_ms
    }
    fn is_unsent(&self) -> bool {
        self.upload == Upload::AwaitsInstance
    }
    fn upload(&self) -> Upload {
        self.upload
    }
    fn client_has_ended(&self) -> bool {
        self.ended
    }
    fn client_can_be_asked(&self) -> bool {
        true
    }
    fn client_owes_acknowledgement(&self) -> bool {
        self.ended && self.output
    }
}

/// What must hold, kept beside the exchange.
struct Witness {
    table: Table,
    policy: TrafficPolicy,
    request: Request,
    budget: RetryBudget,
    now_ms: u64,
    carriers: u64,
    open: Option<(Slot, u64, bool)>,
    /// Whether the last attempt may have been seen by an instance, which makes the next one need permission.
    seen: bool,
    sends_seen: u32,
    begun: bool,
    ends: Vec<Terminal>,
}

impl Witness {
    fn new(request: Request, policy: TrafficPolicy) -> Self {
        Self {
            table: table(policy.clone()),
            policy,
            request,
            budget: RetryBudget::new(Tick(0)),
            now_ms: 0,
            carriers: 0,
            open: None,
            seen: false,
            sends_seen: 0,
            begun: false,
            ends: Vec::new(),
        }
    }

    fn left(&mut self, left: Option<Left<u64>>) {
        let back = left.map(|left| (left.slot(), left.carrier(), left.is_lasting()));
        assert_eq!(back, self.open.take(), "X2: each attempt is given back once, as it is");
    }

    fn ended(&mut self, terminal: Terminal) {
        assert!(self.open.is_none(), "X2: no attempt outlives its request");
        self.ends.push(terminal);
    }

    fn route(&mut self, exchange: &mut Exchange<u64>, refused: bool, kept: bool) {
        let line = |_: &str| None;
        let asker = Asker { address: [127, 0, 0, 1].into(), line: &line };
        let draw = Draw { chance: self.carriers, turn: self.carriers, asker, now: Tick(self.now_ms) };
        let query = RouteQuery { host: b"shop.test", target: b"/", preview: None, trust: PeerTrust::Stranger, draw };
        let decided = route(exchange, &self.table, &AllGood, &query, |_| false);
        let slot = match decided {
            gapless_exchange::Decision::Instance { slot, .. } => slot,
            gapless_exchange::Decision::Exhausted { .. } => {
                // Nobody waits here: answered.
                let left = exchange.handle_answered_by_us(OurAnswer::ConnectFailed, 502);
                return self.left(left);
            }
            other => panic!("{other:?}"),
        };
        if refused {
            let failed = self.failed(Failure::Refused, Reached::Nothing, BodyKept::Whole);
            if let Err((reason, _)) = exchange.handle_refused(slot, &failed, &mut self.budget) {
                let left = exchange.handle_answered_by_us(reason, reason.status());
                self.left(left);
            }
            return;
        }
        if self.seen {
            let keyed = self.policy.replay_with_idempotency_key && self.request.key == KeySent::Yes;
            assert!(self.request.is_idempotent() || keyed, "X3: sent twice though it may not be");
        }
        assert!(!self.begun, "X3: another attempt behind an answer that had begun");
        assert!(self.sends_seen <= u32::from(self.policy.retries_max), "X3: sent {} times", self.sends_seen + 1);
        self.carriers += 1;
        let connection = if kept && !exchange.wants_new_connection() { Connection::Kept } else { Connection::New };
        exchange.handle_assigned(slot, self.carriers, connection, self.now_ms * 1_000);
        self.open = Some((slot, self.carriers, false));
    }

    fn failed(&self, failure: Failure, reached: Reached, body: BodyKept) -> Failed {
        Failed {
            failure,
            reached,
            body,
            dropped: CutReason::InstanceClosed,
            now_us: self.now_ms * 1_000,
            now: Tick(self.now_ms),
        }
    }

    fn fail(&mut self, exchange: &mut Exchange<u64>, failed: Failed) {
        let connection = exchange.attempt().map(|attempt| attempt.connection());
        // A connection that was not taken carried nothing, and only a kept one can be out of step.
        let reached = match failed.failure {
            Failure::Refused | Failure::ConnectTimeout => Reached::Nothing,
            _ => failed.reached,
        };
        let failure = match failed.failure {
            Failure::OutOfStep if connection == Some(Connection::New) => Failure::Broken,
            other => other,
        };
        let seen = match (failure, reached) {
            (_, Reached::Nothing) => failure == Failure::Malformed,
            (Failure::Ended, Reached::Unseen) | (Failure::OutOfStep, Reached::PartOfHead) => false,
            (_, Reached::PartOfHead | Reached::Unseen | Reached::Some) => true,
        };
        match exchange.handle_failed(&Failed { failure, reached, ..failed }, &mut self.budget) {
            Some(Next::Retry { left, excuse, replay }) => {
                self.left(Some(left));
                assert!(!replay || seen, "only what was seen is a replay");
                assert!(!seen || failed.body == BodyKept::Whole, "X3: sent again without its whole body");
                assert!(excuse == Excuse::None || connection == Some(Connection::Kept));
                self.seen |= seen;
                self.sends_seen += u32::from(seen);
            }
            Some(Next::Answer { left, reason, .. }) => {
                self.left(Some(left));
                let none = exchange.handle_answered_by_us(reason, reason.status());
                self.left(none);
            }
            Some(Next::Cut(reason)) => {
                assert!(self.begun, "an answer is cut that had not begun");
                self.give_up(exchange, Terminal::Cut(reason), Delivery::Outstanding);
            }
            None => panic!("an attempt failed that there is not"),
        }
    }

    fn give_up(&mut self, exchange: &mut Exchange<u64>, terminal: Terminal, delivery: Delivery) {
        let (whole, status) = (exchange.has_whole_answer(), exchange.status());
        let (left, terminal) = exchange.give_up(terminal, delivery).expect("it had no end");
        self.left(left);
        if whole && delivery == Delivery::Taken {
            let kept = matches!(terminal, Terminal::Answered(_) | Terminal::AnsweredByUs(_));
            assert!(kept && status != 0, "who has his whole answer is not cut: {terminal:?}");
        }
        self.ended(terminal);
    }

    fn look(&mut self, exchange: &mut Exchange<u64>, upload: Upload, output: bool, ended: bool) {
        let bounds = Bounds { now_ms: self.now_ms, write_stall_ms: 10_000, body_grace_ms: 1_000 };
        let sight = &mut Seen { upload, output, ended, still_ms: self.now_ms % 20_000, now_ms: self.now_ms };
        let (look_next_ms, due) = (bounds.look_next_ms(exchange, sight), bounds.due(exchange, sight));
        assert!(
            due == Due::Nothing || look_next_ms <= self.now_ms,
            "{due:?} is due, and nobody would look before {look_next_ms}"
        );
        match due {
            Due::Nothing | Due::AskClient => {}
            Due::HoldTimeout => {
                assert_eq!(exchange.poll(), Todo::Wait);
                exchange.handle_let_go(self.now_ms);
                let left = exchange.handle_answered_by_us(OurAnswer::HoldTimeout, 503);
                self.left(left);
            }
            Due::ConnectTimeout => {
                let failed = self.failed(Failure::ConnectTimeout, Reached::Nothing, BodyKept::Whole);
                self.fail(exchange, failed);
            }
            Due::ClientLeft => self.give_up(exchange, Terminal::ClientLeft, Delivery::Taken),
            Due::Late(reason, cut) => match exchange.handle_late(reason, cut) {
                Late::Answer(reason) | Late::AnswerForInstance(reason, _) => {
                    assert!(!self.begun);
                    exchange.handle_let_go(self.now_ms);
                    let left = exchange.handle_answered_by_us(reason, reason.status());
                    self.left(left);
                }
                Late::Cut(reason) => self.give_up(exchange, Terminal::Cut(reason), Delivery::Outstanding),
            },
        }
    }

    fn happens(&mut self, exchange: &mut Exchange<u64>, event: Happens) {
        let answer = exchange.attempt().map(|attempt| attempt.answer());
        match (event, exchange.poll()) {
            (Happens::TimePasses { ms }, _) => self.now_ms += ms,
            (Happens::Routed { refused, kept }, Todo::Route) => self.route(exchange, refused, kept),
            (Happens::Failed { failure, reached, body }, Todo::Carry) => {
                let failed = self.failed(failure, reached, body);
                self.fail(exchange, failed);
            }
            (Happens::Begun { status }, Todo::Carry) if answer == Some(Answer::None) => {
                exchange.handle_answer_begun(status);
                self.begun = true;
            }
            (Happens::Whole, Todo::Carry) if answer == Some(Answer::Begun) => exchange.handle_answer_whole(),
            (Happens::Exchanged, Todo::Carry) if answer == Some(Answer::Whole) => {
                let left = exchange.handle_exchanged();
                self.left(left);
            }
            (Happens::Switched, Todo::Carry) if answer == Some(Answer::None) => {
                exchange.handle_switched();
                self.begun = true;
            }
            (Happens::Lasting, Todo::Carry | Todo::Tunnel) => {
                exchange.handle_lasting();
                self.open = self.open.map(|(slot, carrier, _)| (slot, carrier, true));
            }
            (Happens::Delivered, Todo::Deliver) => {
                let terminal = exchange.handle_delivered().expect("it was to be delivered");
                self.ended(terminal);
            }
            (Happens::Held { waiting }, Todo::Route) => {
                let limits = HoldLimits { requests_max: 3, wait_max: Millis(15_000) };
                let ask = HoldAsk { limits, waiting_max: 3, waiting, number: 7, now_ms: self.now_ms };
                match exchange.handle_no_instance(&ask) {
                    Holding::Refused => {
                        let left = exchange.handle_answered_by_us(OurAnswer::HoldFull, 503);
                        self.left(left);
                    }
                    Holding::New { number } | Holding::Again { number } => {
                        assert_eq!((exchange.place_held(), exchange.poll()), (Some(number), Todo::Wait));
                    }
                }
            }
            (Happens::LetGo, Todo::Wait) => exchange.handle_let_go(self.now_ms),
            (Happens::OverloadedByUs, Todo::Route | Todo::Wait) => {
                let left = exchange.handle_answered_by_us(OurAnswer::Overloaded, 503);
                self.left(left);
            }
            (Happens::Looked { upload, output, ended }, todo) if todo != Todo::Forget && todo != Todo::Tunnel => {
                self.look(exchange, upload, output, ended);
            }
            (Happens::ClientLeft { delivery }, todo) if todo != Todo::Forget => {
                self.give_up(exchange, Terminal::ClientLeft, delivery);
            }
            (Happens::Cut { delivery }, todo) if todo != Todo::Forget => {
                self.give_up(exchange, Terminal::Cut(CutReason::Quitting), delivery);
            }
            // It cannot happen now.
            _ => {}
        }
    }
}

fn request() -> impl Strategy<Value = Request> {
    let method = prop_oneof![Just(Method::Idempotent), Just(Method::Other)];
    let key = prop_oneof![Just(KeySent::No), Just(KeySent::Yes)];
    (method, key).prop_map(|(method, key)| Request { method, key })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, ..ProptestConfig::default() })]

    #[test]
    fn every_order_of_events_ends_in_one_terminal_state_with_nothing_leaked_or_sent_without_permission(
        request in request(),
        retries_max in 0u8..4,
        keys_count in any::<bool>(),
        events in prop::collection::vec(happens(), 1..80),
    ) {
        let mut exchange = Exchange::blank();
        exchange.accept(request, 0);
        let mut witness = Witness::new(request, policy(retries_max, keys_count));
        for event in events {
            witness.happens(&mut exchange, event);
            prop_assert_eq!(exchange.is_ended(), !witness.ends.is_empty());
            prop_assert_eq!(exchange.attempt().is_some(), witness.open.is_some());
        }
        if !exchange.is_ended() {
            witness.give_up(&mut exchange, Terminal::Cut(CutReason::Quitting), Delivery::Outstanding);
        }
        prop_assert_eq!(witness.ends.len(), 1);
        prop_assert!(exchange.give_up(Terminal::ClientLeft, Delivery::Taken).is_none(), "a second end");
    }

    #[test]
    fn no_hold_in_between_makes_what_was_sent_fewer(
        retries_max in 0u8..4,
        events in prop::collection::vec(
            prop_oneof![
                Just(Happens::Routed { refused: false, kept: false }),
                Just(Happens::Failed { failure: Failure::Ended, reached: Reached::Some, body: BodyKept::Whole }),
                Just(Happens::Held { waiting: 0 }),
                Just(Happens::LetGo),
            ],
            1..120,
        ),
    ) {
        let mut exchange = Exchange::blank();
        let request = Request { method: Method::Idempotent, key: KeySent::No };
        exchange.accept(request, 0);
        let mut witness = Witness::new(request, policy(retries_max, true));
        events.into_iter().for_each(|event| witness.happens(&mut exchange, event));
        prop_assert!(witness.sends_seen <= u32::from(retries_max));
    }

    #[test]
    fn a_request_that_nobody_ends_ends_by_its_deadlines(
        request in request(),
        upload in prop_oneof![
            Just(Upload::AwaitsInstance),
            Just(Upload::AwaitsContinue),
            Just(Upload::AwaitsClient { bytes: 5 }),
            Just(Upload::Whole { at_ms: 0 }),
        ],
        output in any::<bool>(),
    ) {
        let mut exchange = Exchange::blank();
        exchange.accept(request, 0);
        let mut witness = Witness::new(request, policy(2, true));
        // Nothing ever moves again; whatever is to be delivered is taken when there is nothing else to do.
        for _ in 0..2_000 {
            witness.now_ms += 500;
            match exchange.poll() {
                Todo::Route => witness.route(&mut exchange, false, false),
                Todo::Deliver => witness.happens(&mut exchange, Happens::Delivered),
                Todo::Forget => break,
                Todo::Wait | Todo::Carry | Todo::Tunnel => witness.look(&mut exchange, upload, output, false),
            }
        }
        prop_assert!(exchange.is_ended(), "{:?}", exchange.poll());
    }
}
