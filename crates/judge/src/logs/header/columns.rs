//! Which columns the lines of one kind have: found by vote.

use super::super::padding;
use super::super::units::{Kind, Unit, kind_of, next_unit};
use super::parts::{is_loud_severity, is_separator, place_after, priority, severity_and_logger, severity_inside};
use super::shape::{SEEK_MAX, Shape, Step};
use super::{GAP_MAX, UNITS_MAX};

/// Share of lines that must have an anchor in a column.
const ANCHOR_SHARE: f64 = 0.8;
/// Share of lines that must show structure in a column after the last anchor.
const COLUMN_SHARE: f64 = 0.9;
/// Share of lines that must have a name there: some programs now and then write a line without.
const NAME_SHARE: f64 = 0.8;
/// Columns before the first anchor, at most.
const LEADING_MAX: usize = 5;

/// A line and its first units.
pub(super) type Row<'a> = (&'a [u8], Vec<(Unit, Kind)>);

/// The first units of a line.
pub(super) fn row_of(line: &[u8]) -> Vec<(Unit, Kind)> {
    let mut row = Vec::with_capacity(UNITS_MAX);
    let mut from = 0;
    while row.len() < UNITS_MAX
        && let Some(unit) = next_unit(line, from)
    {
        row.push((unit, kind_of(&line[unit.start..unit.end])));
        from = unit.end;
    }
    row
}

fn is_anchor(kind: Kind) -> bool {
    matches!(kind, Kind::Time | Kind::Severity(_) | Kind::SeverityLetter(_))
}

/// Lines are of one kind when they begin alike and their first anchor stands in the same column.
pub(super) fn group_key(row: &Row<'_>) -> (u8, usize) {
    if severity_and_logger(row.0).is_some() {
        return (5, 0);
    }
    let first = match row.1.first().map(|(_, kind)| *kind) {
        Some(Kind::Time) => 1,
        Some(Kind::Severity(_)) => 2,
        Some(Kind::SeverityLetter(_)) => 3,
        Some(Kind::Bracket) => 4,
        _ => 0,
    };
    (first, row.1.iter().take(LEADING_MAX + 1).position(|(_, kind)| is_anchor(*kind)).unwrap_or(UNITS_MAX))
}

/// The share of rows whose unit in a column satisfies a test.
fn share(rows: &[Row<'_>], column: usize, test: impl Fn(&Row<'_>, Unit, Kind) -> bool) -> f64 {
    let hits = rows.iter().filter(|row| row.1.get(column).is_some_and(|&(unit, kind)| test(row, unit, kind))).count();
    hits as f64 / rows.len().max(1) as f64
}

/// The header that nearly all of these lines have; `total` lines were looked at in all.
pub(super) fn shape_of(mut rows: Vec<Row<'_>>, total: usize) -> Option<Shape> {
    if severity_and_logger(rows[0].0).is_some() {
        return Some(Shape { steps: vec![Step::SeverityAndLogger], required: 1, severity_in_bracket: false });
    }
    let mut steps = anchored_columns(&rows, total);
    if steps == [Step::Any, Step::Time]
        && share(&rows, 0, |row, unit, _| priority(row.0, unit).is_some()) >= COLUMN_SHARE
    {
        // Host, application, process, message id, structured data (RFC 5424 §6).
        let steps = vec![Step::Priority, Step::Time, Step::Any, Step::Logger, Step::Any, Step::Any, Step::Any];
        return Some(Shape { required: steps.len(), steps, severity_in_bracket: false });
    }
    let mut required = steps.len();
    let has_severity = steps.iter().any(|step| matches!(step, Step::Severity | Step::SeverityLetter));
    if required > 0 && !has_severity && seek_severity(&mut rows, required) {
        steps.push(Step::SeekSeverity);
        required += 1;
    }
    let severity_in_bracket = !has_severity
        && steps.first() == Some(&Step::Time)
        && share(&rows, 0, |row, unit, _| severity_inside(&row.0[unit.start..unit.end]).is_some()) >= ANCHOR_SHARE;
    further_columns(&rows, required > 0, &mut steps);
    let first_is_container_prefix = required == 0 && !steps.is_empty();
    if first_is_container_prefix {
        required = steps.len();
    }
    (!steps.is_empty()).then_some(Shape { steps, required, severity_in_bracket })
}

/// The columns up to the last anchor.
fn anchored_columns(rows: &[Row<'_>], total: usize) -> Vec<Step> {
    let mut columns: Vec<Step> = Vec::new();
    let mut accepted = 0;
    let mut severity_seen = false;
    for column in 0..UNITS_MAX - 4 {
        let time = share(rows, column, |_, _, kind| kind == Kind::Time);
        // `error: x` at the beginning of a line is a message; `ERROR x` and `[error] x` have a header.
        let severity = share(rows, column, |row, unit, kind| {
            let text = &row.0[unit.start..unit.end];
            matches!(kind, Kind::Severity(_))
                && (column > 0 || text[0] == b'[' || text[0] == b'<' || is_loud_severity(text))
        });
        let letter = share(rows, column, |_, _, kind| matches!(kind, Kind::SeverityLetter(_)));
        let words_between = columns[accepted..].iter().filter(|step| matches!(step, Step::Any | Step::Logger)).count();
        let step = if time >= ANCHOR_SHARE {
            Step::Time
        } else if severity >= ANCHOR_SHARE || severity + letter >= ANCHOR_SHARE && severity > letter {
            Step::Severity
        } else if letter >= ANCHOR_SHARE {
            Step::SeverityLetter
        } else {
            let structural =
                share(rows, column, |_, _, kind| matches!(kind, Kind::Dash | Kind::Bracket | Kind::Integer))
                    >= COLUMN_SHARE;
            let before_dash = accepted > 0 && share(rows, column + 1, |_, _, kind| kind == Kind::Dash) >= COLUMN_SHARE;
            let plain = if before_dash { Step::Logger } else { Step::Any };
            columns.push(if structural { structural_step(rows, column) } else { plain });
            continue;
        };
        let near = match (accepted, step) {
            (0, _) => column <= LEADING_MAX && (column <= 1 || leads_like_a_header(rows, column, total)),
            (_, _) if severity_seen => words_between == 0,
            (_, Step::Time) => words_between <= 1,
            (_, _) => words_between <= GAP_MAX,
        };
        columns.push(step);
        if near {
            accepted = columns.len();
            severity_seen |= step != Step::Time;
        } else {
            // What follows is message.
            break;
        }
    }
    columns.truncate(accepted);
    columns
}

fn structural_step(rows: &[Row<'_>], column: usize) -> Step {
    let most = |wanted: Kind| share(rows, column, |_, _, kind| kind == wanted) >= COLUMN_SHARE;
    if most(Kind::Dash) {
        Step::Dash
    } else if most(Kind::Bracket) {
        Step::Bracket
    } else if most(Kind::Integer) {
        Step::Integer
    } else {
        Step::Any
    }
}

/// Columns before a late first anchor belong to a header only if they are not a sentence: most lines are like this, and
/// one of the columns is a number or holds one.
fn leads_like_a_header(rows: &[Row<'_>], before: usize, total: usize) -> bool {
    let has_number = |row: &Row<'_>, unit: Unit, _: Kind| row.0[unit.start..unit.end].iter().any(u8::is_ascii_digit);
    rows.len() * 2 >= total && (0..before).any(|column| share(rows, column, has_number) >= COLUMN_SHARE)
}

/// Looks for a severity in capitals that wanders behind the anchors. Where nearly all rows have one, cuts what is
/// between out of the rows.
fn seek_severity(rows: &mut Vec<Row<'_>>, from: usize) -> bool {
    let position = |row: &Row<'_>| {
        let window = row.1.iter().enumerate().skip(from).take(SEEK_MAX);
        window.filter(|(_, (unit, _))| is_loud_severity(&row.0[unit.start..unit.end])).map(|(at, _)| at).next()
    };
    let found = rows.iter().filter(|row| position(row).is_some()).count();
    if (found as f64) < ANCHOR_SHARE * rows.len() as f64 {
        return false;
    }
    rows.retain(|row| position(row).is_some());
    for row in rows {
        if let Some(at) = position(row) {
            row.1.drain(from..at);
        }
    }
    true
}

/// The columns after the last anchor.
fn further_columns(rows: &[Row<'_>], anchored: bool, steps: &mut Vec<Step>) {
    let mut named = false;
    for column in steps.len()..UNITS_MAX - 1 {
        let is = |wanted: Kind, column: usize| share(rows, column, |_, _, kind| kind == wanted);
        let word = |column: usize| share(rows, column, |_, _, kind| matches!(kind, Kind::Word | Kind::Integer));
        let step = if is(Kind::Dash, column) >= COLUMN_SHARE && (anchored || column > 0) {
            Step::Dash
        } else if is(Kind::Bracket, column) >= COLUMN_SHARE {
            Step::Bracket
        } else if !anchored {
            // Without an anchor: `web-1  | message`, `[   1.234] message`.
            let piped = column == 0
                && share(rows, 1, |row, unit, _| row.0[unit.start..unit.end] == *b"|") >= COLUMN_SHARE
                && rows.len() >= 3;
            if !piped {
                break;
            }
            Step::Logger
        } else if is(Kind::Integer, column) >= COLUMN_SHARE && !named {
            Step::Integer
        } else if is(Kind::Close, column) >= COLUMN_SHARE {
            Step::Close
        } else if !named && is(Kind::Name, column) + name_with_place(rows, column) >= NAME_SHARE {
            named = true;
            Step::Name
        } else if word(column) >= COLUMN_SHARE
            && !named
            && (is(Kind::Dash, column + 1) >= COLUMN_SHARE
                || is(Kind::Name, column + 1) + name_with_place(rows, column + 1) >= NAME_SHARE
                || is(Kind::Bracket, column + 1) >= COLUMN_SHARE
                || is_padded(rows, column))
        {
            Step::Logger
        } else if !named && rows.len() >= 3 && words_to_dash(rows, column) >= COLUMN_SHARE {
            Step::WordsToDash
        } else {
            break;
        };
        steps.push(step);
        if step == Step::WordsToDash {
            break;
        }
    }
}

/// Share of rows with launchd's `name[1] (place):`.
fn name_with_place(rows: &[Row<'_>], column: usize) -> f64 {
    share(rows, column, |row, unit, _| place_after(row.0, unit).is_some())
}

fn is_padded(rows: &[Row<'_>], column: usize) -> bool {
    let cells = rows
        .iter()
        .filter_map(|row| row.1.get(column).map(|(unit, _)| row.0[unit.start..].split_at(unit.end - unit.start)));
    padding::is_padded(cells.collect(), rows.len())
}

fn words_to_dash(rows: &[Row<'_>], column: usize) -> f64 {
    let hits = rows.iter().filter(|row| {
        let starts_with_word = matches!(row.1.get(column), Some((_, Kind::Word)));
        let window = row.1.iter().skip(column + 1).take(GAP_MAX);
        starts_with_word && window.clone().any(|(unit, _)| is_separator(&row.0[unit.start..unit.end]))
    });
    hits.count() as f64 / rows.len().max(1) as f64
}
