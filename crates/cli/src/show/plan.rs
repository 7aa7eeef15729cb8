//! The phases of a rollout before it runs.

use std::fmt::Write as _;

use gapless_wire::api::PlanAnswer;

use super::style::{Paint, Style};
use super::table::{Cell, Table};
use super::{going_back, length};

/// The plan as a table with a line above and below.
#[must_use]
pub fn text(plan: &PlanAnswer, style: Style) -> String {
    let way = match &plan.from {
        Some(from) => format!("{} from {from} to {}", plan.strategy, plan.to),
        None => format!("{} of {}", plan.strategy, plan.to),
    };
    let mut text = format!("{}: {way}\n\n", style.paint(Paint::Strong, &plan.service));
    let mut table = Table::new(&["PHASE", "BATCH", "WHAT", "ABOUT", "AT MOST", "ELSE"]);
    for phase in &plan.phases {
        let batch =
            if phase.batch.of > 1 { format!("{}/{}", phase.batch.number, phase.batch.of) } else { String::new() };
        table.row(vec![
            Cell::painted(phase.phase.clone(), Paint::Strong),
            batch.into(),
            phase.what.clone().into(),
            length(phase.expected_ms).into(),
            length(phase.deadline_ms).into(),
            phase.then.clone().into(),
        ]);
    }
    text.push_str(&table.text("  ", style));
    let _ = writeln!(
        text,
        "\nabout {} in all, at most {}; going back once it has all traffic: {}",
        length(plan.expected_ms),
        length(plan.timeout_ms),
        going_back(plan.rollback)
    );
    text
}
