//! What every store must do, whatever it is made of. A store's tests call [`run`] with a way to open it afresh.

use gapless_model::Epoch;

use crate::{Batch, Position, RecordKind, Sequence, Store, StoreError};

/// Opens a fresh, empty store for each case, and lets the case close and open it again.
pub trait Bench {
    /// The store under test.
    type Store: Store;
    /// Empties the disk and opens a store on it.
    fn fresh(&mut self) -> Self::Store;
    /// Closes a store and opens its disk again.
    fn reopen(&mut self, store: Self::Store) -> Self::Store;
}

/// Runs the suite.
///
/// # Panics
/// Where the store does not do what [`Store`] promises; the message names the case.
pub fn run(bench: &mut impl Bench) {
    sequences_rise_by_one_in_each_stream(bench);
    a_batch_is_durable_whole(bench);
    a_refused_batch_changes_nothing(bench);
    a_snapshot_takes_the_place_of_what_came_before(bench);
    a_snapshot_of_a_past_point_keeps_what_follows(bench);
    facts_are_written_replaced_and_removed(bench);
    terms_rise_over_restarts(bench);
    nothing_is_written_before_a_term(bench);
    a_term_begins_above_what_others_have_seen(bench);
}

fn a_term_begins_above_what_others_have_seen<B: Bench>(bench: &mut B) {
    let mut store = bench.fresh();
    assert_eq!(store.position(), Position::default());
    assert_eq!(store.begin_term_above(Epoch(7)).expect("term"), Epoch(8));
    let before = store.position();
    assert_eq!(before.epoch, Epoch(8));
    append(&mut store, "a", b"1");
    assert!(store.position() > before, "each commit brings it further");
    store.checkpoint().expect("a checkpoint");
    let mut store = bench.reopen(store);
    assert_eq!(store.begin_term_above(Epoch(2)).expect("term"), Epoch(9), "never below its own");
}

fn started<B: Bench>(bench: &mut B) -> B::Store {
    let mut store = bench.fresh();
    store.begin_term().expect("a term begins on a fresh store");
    store
}

fn append(store: &mut impl Store, stream: &str, bytes: &[u8]) -> Sequence {
    let mut batch = Batch::new();
    batch.append(stream, "t", bytes);
    store.commit(&batch).expect("an append is taken")[0]
}

fn shown(store: &mut impl Store, stream: &str, from: u64) -> Vec<(u64, RecordKind, String)> {
    let records = store.read(stream, Sequence(from)).expect("a stream is read");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("the suite writes text");
    records.into_iter().map(|r| (r.sequence.0, r.record, text(r.bytes))).collect()
}

fn appended(rows: &[(u64, &str)]) -> Vec<(u64, RecordKind, String)> {
    rows.iter().map(|(sequence, text)| (*sequence, RecordKind::Appended, (*text).to_owned())).collect()
}

fn sequences_rise_by_one_in_each_stream<B: Bench>(bench: &mut B) {
    let mut store = started(bench);
    assert_eq!(store.last("a").expect("last"), Sequence::START);
    assert_eq!(append(&mut store, "a", b"1"), Sequence(1));
    assert_eq!(append(&mut store, "b", b"x"), Sequence(1));
    assert_eq!(append(&mut store, "a", b"2"), Sequence(2));
    let mut store = bench.reopen(store);
    store.begin_term().expect("term");
    assert_eq!(append(&mut store, "a", b"3"), Sequence(3));
    assert_eq!(shown(&mut store, "a", 0), appended(&[(1, "1"), (2, "2"), (3, "3")]));
    assert_eq!(shown(&mut store, "a", 3), appended(&[(3, "3")]));
    assert_eq!(shown(&mut store, "never", 0), []);
    assert_eq!(store.streams().expect("streams"), ["a", "b"]);
    assert_eq!(store.last("a").expect("last"), Sequence(3));
}

fn a_batch_is_durable_whole<B: Bench>(bench: &mut B) {
    let mut store = started(bench);
    let mut batch = Batch::new();
    batch.append("a", "t", *b"1").put("f", "k", *b"v").append("b", "t", *b"2").append("a", "t", *b"3");
    assert_eq!(store.commit(&batch).expect("commit"), [Sequence(1), Sequence(1), Sequence(2)]);
    assert_eq!(store.commit(&Batch::new()).expect("an empty batch is taken"), []);
    let mut store = bench.reopen(store);
    assert_eq!(shown(&mut store, "a", 0), appended(&[(1, "1"), (2, "3")]));
    assert_eq!(store.fact("f", "k").expect("fact").as_deref(), Some(&b"v"[..]));
}

fn a_refused_batch_changes_nothing<B: Bench>(bench: &mut B) {
    let mut store = started(bench);
    append(&mut store, "a", b"1");
    let mut batch = Batch::new();
    batch.append("a", "t", *b"2").put("f", "k", *b"v").snapshot("a", "s", *b"s", Sequence(9));
    assert!(matches!(store.commit(&batch), Err(StoreError::Invalid(_))), "a snapshot beyond the end is refused");
    let mut batch = Batch::new();
    batch.append("a", "t", *b"2").append("", "t", *b"3");
    assert!(matches!(store.commit(&batch), Err(StoreError::Invalid(_))), "a nameless stream is refused");
    assert_eq!(append(&mut store, "a", b"2"), Sequence(2), "the store goes on after a refusal");
    let mut store = bench.reopen(store);
    assert_eq!(shown(&mut store, "a", 0), appended(&[(1, "1"), (2, "2")]));
    assert_eq!(store.fact("f", "k").expect("fact"), None);
}

fn a_snapshot_takes_the_place_of_what_came_before<B: Bench>(bench: &mut B) {
    let mut store = started(bench);
    for text in ["1", "2", "3"] {
        append(&mut store, "a", text.as_bytes());
    }
    let mut batch = Batch::new();
    batch.append("a", "t", *b"4").snapshot("a", "s", *b"=4", Sequence(4));
    store.commit(&batch).expect("a snapshot of what the same batch appends");
    assert_eq!(append(&mut store, "a", b"5"), Sequence(5));
    let mut store = bench.reopen(store);
    let mut expected = vec![(4, RecordKind::Snapshot, "=4".to_owned())];
    expected.extend(appended(&[(5, "5")]));
    assert_eq!(shown(&mut store, "a", 0), expected);
    store.begin_term().expect("term");
    let mut batch = Batch::new();
    batch.snapshot("a", "s", *b"=2", Sequence(2));
    assert!(matches!(store.commit(&batch), Err(StoreError::Invalid(_))), "a snapshot before the snapshot is refused");
}

fn a_snapshot_of_a_past_point_keeps_what_follows<B: Bench>(bench: &mut B) {
    let mut store = started(bench);
    for text in ["1", "2", "3", "4"] {
        append(&mut store, "a", text.as_bytes());
    }
    for (upto, text) in [(2, "=2"), (2, "=2 again"), (3, "=3")] {
        let mut batch = Batch::new();
        batch.snapshot("a", "s", text, Sequence(upto));
        store.commit(&batch).expect("a snapshot of a past point");
        store = bench.reopen(store);
        store.begin_term().expect("term");
        assert_eq!(shown(&mut store, "a", 0)[0], (upto, RecordKind::Snapshot, text.to_owned()));
    }
    assert_eq!(append(&mut store, "a", b"5"), Sequence(5));
    assert_eq!(shown(&mut store, "a", 4), appended(&[(4, "4"), (5, "5")]));
}

fn facts_are_written_replaced_and_removed<B: Bench>(bench: &mut B) {
    let mut store = started(bench);
    let mut batch = Batch::new();
    batch.put("f", "b", *b"1").put("f", "a", *b"2").put("g", "a", *b"3").put("f", "b", *b"4").delete("f", "never");
    store.commit(&batch).expect("commit");
    let mut batch = Batch::new();
    batch.delete("f", "a").put("f", "c", Vec::new());
    store.commit(&batch).expect("commit");
    let mut store = bench.reopen(store);
    assert_eq!(store.facts("f").expect("facts"), [("b".to_owned(), b"4".to_vec()), ("c".to_owned(), Vec::new())]);
    assert_eq!(store.facts("g").expect("facts"), [("a".to_owned(), b"3".to_vec())]);
    assert_eq!(store.facts("h").expect("facts"), []);
    assert_eq!(store.fact("f", "a").expect("fact"), None);
    assert_eq!(store.fact_keys("f", "b", "c").expect("keys"), ["b"]);
    assert_eq!(store.fact_keys("f", "a", "d").expect("keys"), ["b", "c"]);
    assert_eq!(store.fact_keys("f", "d", "z").expect("keys"), [""; 0]);
}

fn terms_rise_over_restarts<B: Bench>(bench: &mut B) {
    let mut store = bench.fresh();
    let first = store.begin_term().expect("term");
    let second = store.begin_term().expect("term");
    let mut store = bench.reopen(store);
    let third = store.begin_term().expect("term");
    assert!(first < second && second < third, "{first} {second} {third}");
}

fn nothing_is_written_before_a_term<B: Bench>(bench: &mut B) {
    let mut store = bench.fresh();
    let mut batch = Batch::new();
    batch.append("a", "t", *b"1");
    assert!(matches!(store.commit(&batch), Err(StoreError::NoTerm)));
    assert_eq!(shown(&mut store, "a", 0), []);
}
