//! The phases of a rollout before it runs.

use std::fmt::Write as _;

use std::ops::RangeInclusive;

use gapless_wire::api::{PlanAnswer, PlannedPhase};

use super::style::{Paint, Style};
use super::table::{Cell, Table};
use super::{going_back, length};

/// The batches between the first and the last, where they do the same as the first and only take room.
fn folded(plan: &PlanAnswer) -> Option<RangeInclusive<u16>> {
    let of = plan.phases.first()?.batch.of;
    let shape = |batch: u16| {
        let phases = plan.phases.iter().filter(move |phase| phase.batch.number == batch);
        phases.map(|phase| (&phase.phase, phase.expected_ms, phase.deadline_ms)).collect::<Vec<_>>()
    };
    // What is tested is tested in the first batch alone; otherwise the phases are the same.
    let untested = |batch: u16| shape(batch).into_iter().filter(|(phase, ..)| *phase != "Test").collect::<Vec<_>>();
    let same = (2..of).all(|batch| untested(batch) == untested(1));
    (of > 2 && same).then(|| 2..=of - 1)
}

/// What happens when a phase is late, in a word or two. What a newer controller says stands as it is.
fn short(then: &str) -> String {
    let known = [
        ("the rollout goes on", "goes on"),
        ("the rollout rolls back", "rolls back"),
        ("the rollout stops as it is and calls an operator", "calls you"),
        ("the rollout is done, and what is left drains behind it", "ends"),
    ];
    known.iter().find(|(long, _)| *long == then).map_or(then, |(_, short)| short).to_owned()
}

/// The plan as a table with a line above and below.
#[must_use]
pub fn text(plan: &PlanAnswer, style: Style) -> String {
    let way = match &plan.from {
        Some(from) => format!("{} from {from} to {}", plan.strategy, plan.to),
        None => format!("{} of {}", plan.strategy, plan.to),
    };
    let mut text = format!("{}: {way}\n\n", style.paint(Paint::Strong, &plan.service));
    let mut table = Table::new(&["PHASE", "BATCH", "WHAT", "ABOUT", "MOST", "ELSE"]);
    let folded = folded(plan);
    for phase in &plan.phases {
        if folded.as_ref().is_some_and(|folded| folded.contains(&phase.batch.number)) {
            continue;
        }
        let batch =
            if phase.batch.of > 1 { format!("{}/{}", phase.batch.number, phase.batch.of) } else { String::new() };
        table.row(vec![
            Cell::painted(phase.phase.clone(), Paint::Strong),
            batch.into(),
            phase.what.clone().into(),
            if phase.expected_ms == 0 { String::new() } else { length(phase.expected_ms) }.into(),
            length(phase.deadline_ms).into(),
            short(&phase.then).into(),
        ]);
        let is_last_of_first = |next: &&PlannedPhase| next.batch.number > 1;
        let ends_first = plan.phases.iter().find(is_last_of_first).is_some_and(|next| {
            phase.batch.number == 1
                && plan.phases.iter().rfind(|other| other.batch.number == 1) == Some(phase)
                && next.batch.of > 1
        });
        if let (Some(folded), true) = (&folded, ends_first) {
            let batches = match (folded.start(), folded.end()) {
                (first, last) if first == last => format!("{first}"),
                (first, last) => format!("{first}-{last}"),
            };
            table.row(vec![
                Cell::painted("...", Paint::Faint),
                batches.into(),
                "each as the batch before".into(),
                "".into(),
                "".into(),
                "".into(),
            ]);
        }
    }
    text.push_str(&table.text("  ", style));
    let _ = writeln!(
        text,
        "\nabout {} in all, at most {};\ngoing back once it has all traffic: {}",
        length(plan.expected_ms),
        length(plan.timeout_ms),
        going_back(plan.rollback)
    );
    for problem in &plan.problems {
        let _ = writeln!(text, "{}: {problem}", style.paint(Paint::Bad, "it would fail"));
    }
    text
}
