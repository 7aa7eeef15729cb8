//! The rollouts of a service.

use gapless_wire::api::History;

use super::style::Style;
use super::table::{Cell, Table};
use super::{length, paint_of};

/// The rollouts as a table, the newest first.
#[must_use]
pub fn text(history: &History, style: Style) -> String {
    if history.rollouts.is_empty() {
        return "no rollouts yet\n".to_owned();
    }
    let mut table = Table::new(&["ROLLOUT", "FROM", "TO", "STRATEGY", "STATE", "TOOK", "LOST", "ORDERED", "BY", "WHY"]);
    for rollout in &history.rollouts {
        let why = [rollout.cause.as_deref().unwrap_or_default(), rollout.reason.as_str()];
        table.row(vec![
            rollout.rollout.to_string().into(),
            rollout.from.clone().unwrap_or_else(|| "-".to_owned()).into(),
            rollout.to.clone().into(),
            if rollout.strategy.is_empty() { "-".into() } else { rollout.strategy.clone().into() },
            Cell::painted(rollout.state_text(), paint_of(rollout.state)),
            length(rollout.took_ms).into(),
            rollout.failed_by_us.map_or_else(|| "-".to_owned(), |lost| lost.to_string()).into(),
            rollout.ordered_at.clone().into(),
            rollout.by.clone().into(),
            why.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("; ").into(),
        ]);
    }
    table.text("", style)
}
