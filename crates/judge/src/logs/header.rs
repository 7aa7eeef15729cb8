//! The header of a line: recognised over a file's first lines, then removed from each.
//!
//! A header is a row of columns that look alike in all lines: times, a severity, process numbers, a host, a logger,
//! brackets. [`Headers::recognise`] looks at a sample, sorts its lines by where their first time or severity stands (one
//! file may hold several kinds of lines), and for each kind finds the columns by vote:
//!
//! - up to the last *anchor* (time, severity) that nearly all lines have in that column, everything is header;
//! - after it, columns go on as long as nearly all lines show structure: a dash, a bracket, a number, a name with a
//!   colon, a word padded to a width or followed by one of these.
//!
//! No source is named here and nothing is configured. What a line lacks of the columns after the last anchor is simply
//! not there; a line that lacks an anchor is not of this kind.

use super::Severity;
use super::padding;
use super::units::{self, Kind, Unit, kind_of, next_unit};

/// Columns looked at; no known format has more.
const UNITS_MAX: usize = 16;
/// Kinds of headers in one file; what is beyond is read as lines without a header.
const SHAPES_MAX: usize = 6;
/// Share of lines that must have an anchor in a column.
const ANCHOR_SHARE: f64 = 0.8;
/// Share of lines that must show structure in a column after the last anchor.
const COLUMN_SHARE: f64 = 0.9;
/// Share of lines that must have a name there: some programs now and then write a line without.
const NAME_SHARE: f64 = 0.8;
/// Columns before the first anchor, at most.
const LEADING_MAX: usize = 5;
/// Plain words between a time and the severity, at most.
const GAP_MAX: usize = 3;
/// How far the severity may wander behind the time (`user@db LOG:` or `LOG:`).
const SEEK_MAX: usize = 4;

/// How one column is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Any,
    Logger,
    /// Python's `ERROR:shop.cart:message`.
    SeverityAndLogger,
    /// RFC 5424's `<30>1`: facility × 8 + severity, and the version.
    Priority,
    Time,
    Severity,
    SeverityLetter,
    SeekSeverity,
    Bracket,
    Integer,
    Dash,
    Name,
    Close,
    WordsToDash,
}

/// One kind of header.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Shape {
    steps: Vec<Step>,
    /// So many steps must match for a line to be of this kind.
    required: usize,
    /// The severity stands inside the bracket with the time (`[2024-01-01T00:00:00Z INFO  app]`).
    severity_in_bracket: bool,
}

/// What a header says, and where the message begins.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Header<'a> {
    /// The severity column.
    pub severity: Option<Severity>,
    /// The logger, without process number and colon; empty where there is none.
    pub logger: &'a [u8],
    /// Offset of the message.
    pub message: usize,
}

/// The kinds of headers of one source.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Headers {
    shapes: Vec<Shape>,
    /// Leading cells of a line whose columns are separated by `|`; 0 when they are not.
    cells: usize,
}

type Row<'a> = (&'a [u8], Vec<(Unit, Kind)>);

impl Headers {
    /// Finds the headers of a sample of lines. The order of the lines does not matter. Lines that begin with white space
    /// or a brace (stack traces, JSON) take no part.
    pub fn recognise(sample: &[&[u8]]) -> Headers {
        let lines: Vec<&[u8]> = sample
            .iter()
            .copied()
            .filter(|line| line.first().is_some_and(|first| !first.is_ascii_whitespace() && *first != b'{'))
            .collect();
        let cells = leading_cells(&lines);
        let mut groups: Vec<((u8, usize), Vec<Row<'_>>)> = Vec::new();
        for line in lines {
            let row = (line, row_of(line));
            let key = group_key(&row);
            match groups.iter_mut().find(|(other, _)| *other == key) {
                Some((_, rows)) => rows.push(row),
                None => groups.push((key, vec![row])),
            }
        }
        // Larger kinds first; the key breaks ties, so that the order of the lines does not.
        groups.sort_by_key(|(key, rows)| (std::cmp::Reverse(rows.len()), *key));
        let total: usize = groups.iter().map(|(_, rows)| rows.len()).sum();
        let mut shapes: Vec<Shape> = Vec::new();
        for (_, rows) in groups {
            if let Some(shape) = shape_of(rows, total)
                && !shapes.contains(&shape)
                && shapes.len() < SHAPES_MAX
            {
                shapes.push(shape);
            }
        }
        Headers { shapes, cells }
    }

    /// Whether no header was found: lines are messages as they stand.
    pub fn is_bare(&self) -> bool {
        self.shapes.is_empty() && self.cells == 0
    }

    /// Reads the header of a line; `None` when the line has none of the known ones.
    #[inline]
    pub fn read<'a>(&self, line: &'a [u8]) -> Option<Header<'a>> {
        if self.cells > 0
            && let Some(header) = read_cells(line, self.cells)
        {
            return Some(header);
        }
        self.shapes.iter().find_map(|shape| shape.read(line))
    }
}

fn row_of(line: &[u8]) -> Vec<(Unit, Kind)> {
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
fn group_key(row: &Row<'_>) -> (u8, usize) {
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

fn shape_of(mut rows: Vec<Row<'_>>, total: usize) -> Option<Shape> {
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

fn is_loud_severity(unit: &[u8]) -> bool {
    units::severity_of(unit).is_some()
        && unit.iter().filter(|byte| byte.is_ascii_alphabetic()).all(u8::is_ascii_uppercase)
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

/// The end of ` (place):` after a unit that ends with `]`.
fn place_after(line: &[u8], unit: Unit) -> Option<usize> {
    if line[unit.end - 1] != b']' || !line[unit.end..].starts_with(b" (") {
        return None;
    }
    let close = memchr::memmem::find(&line[unit.end..], b"):")?;
    (close < 120).then_some(unit.end + close + 2)
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

/// The severity and the logger inside a bracket that also holds the time.
fn severity_inside(unit: &[u8]) -> Option<(Severity, &[u8])> {
    let inside = unit.strip_prefix(b"[")?;
    let inside = inside.strip_suffix(b"]").unwrap_or(inside);
    let mut parts = inside.split(u8::is_ascii_whitespace).filter(|part| !part.is_empty());
    let severity = parts.by_ref().find_map(|part| units::severity_of(part).filter(|_| is_loud_severity(part)))?;
    Some((severity, parts.next().unwrap_or_default()))
}

impl Shape {
    #[inline]
    fn read<'a>(&self, line: &'a [u8]) -> Option<Header<'a>> {
        let mut header = Header::default();
        let mut at = 0;
        for (index, step) in self.steps.iter().enumerate() {
            let read = next_unit(line, at).and_then(|unit| self.step(*step, line, unit, &mut header));
            match read {
                Some(end) => at = end,
                None if index < self.required => return None,
                // A column that is not there: try the next one at the same place, a name above all.
                None => {}
            }
        }
        header.message = message_start(line, at);
        Some(header)
    }

    /// Reads one unit as a step; its end, or `None` when it does not fit.
    #[inline]
    fn step<'a>(&self, step: Step, line: &'a [u8], unit: Unit, header: &mut Header<'a>) -> Option<usize> {
        let text = &line[unit.start..unit.end];
        match step {
            Step::Any => {}
            Step::SeverityAndLogger => {
                let (severity, logger, end) = severity_and_logger(line)?;
                (header.severity, header.logger) = (Some(severity), logger);
                return Some(end);
            }
            Step::Priority => header.severity = Some(priority(line, unit)?),
            Step::Logger => {
                if text.len() > 100 || text[0] == b'[' || text[0] == b'"' {
                    return None;
                }
                header.logger = logger_of(text);
            }
            Step::Time => {
                let fits = match text[0] {
                    b'0'..=b'9' | b'[' | b'+' | b'-' => true,
                    first => first.is_ascii_uppercase() && text.len() <= 5,
                };
                if !fits {
                    return None;
                }
                if self.severity_in_bracket
                    && let Some((severity, logger)) = severity_inside(text)
                {
                    header.severity = Some(severity);
                    header.logger = logger_of(logger);
                }
            }
            Step::Severity => match units::severity_of(text) {
                Some(severity) => header.severity = Some(severity),
                // A level of the program's own (`SUCCESS`).
                None if text.len() <= 12
                    && text.iter().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_punctuation()) => {}
                None => {
                    let Kind::SeverityLetter(severity) = kind_of(text) else { return None };
                    header.severity = Some(severity);
                }
            },
            Step::SeverityLetter => {
                let Kind::SeverityLetter(severity) = kind_of(text) else { return None };
                header.severity = Some(severity);
            }
            Step::SeekSeverity => return seek(line, unit, header),
            Step::Bracket => {
                if text[0] != b'[' {
                    return None;
                }
                if header.severity.is_none() {
                    header.severity = units::severity_of(text);
                }
            }
            Step::Integer => {
                if !text.iter().all(u8::is_ascii_digit) {
                    return None;
                }
            }
            Step::Dash => {
                if text.len() > 4 || !text.iter().all(u8::is_ascii_punctuation) {
                    return None;
                }
            }
            Step::Close => {
                if !text.ends_with(b"]") {
                    return None;
                }
                header.logger = logger_of(text);
            }
            Step::Name => return name(line, unit, header),
            Step::WordsToDash => return words_before_dash(line, unit, header),
        }
        Some(unit.end)
    }
}

/// `ERROR:shop.cart:` at the beginning of a line, and where it ends.
fn severity_and_logger(line: &[u8]) -> Option<(Severity, &[u8], usize)> {
    let first = memchr::memchr(b':', &line[..line.len().min(10)])?;
    let severity = Severity::from_word(&line[..first]).filter(|_| is_loud_severity(&line[..first]))?;
    let rest = &line[first + 1..];
    let second = rest.iter().position(|byte| !(byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-')))?;
    (second > 0 && rest[second] == b':').then_some((severity, &rest[..second], first + 1 + second + 1))
}

/// The severity of a syslog priority with its version.
fn priority(line: &[u8], unit: Unit) -> Option<Severity> {
    let inside = line[unit.start..unit.end].strip_prefix(b"<")?;
    let close = memchr::memchr(b'>', inside).filter(|close| (1..=3).contains(close) && inside.len() == close + 2)?;
    let number: u32 = std::str::from_utf8(&inside[..close]).ok()?.parse().ok()?;
    Severity::from_number(number & 7, super::Numbering::Syslog)
}

/// Reads units up to a severity in capitals.
fn seek<'a>(line: &'a [u8], first: Unit, header: &mut Header<'a>) -> Option<usize> {
    let mut unit = first;
    for _ in 0..SEEK_MAX {
        let text = &line[unit.start..unit.end];
        if is_loud_severity(text) {
            header.severity = units::severity_of(text);
            return Some(unit.end);
        }
        unit = next_unit(line, unit.end)?;
    }
    None
}

/// Reads `name:`, `name[pid] (place):`, and the spans of Rust's tracing in front of the target (`span{a=1}: target:`).
fn name<'a>(line: &'a [u8], unit: Unit, header: &mut Header<'a>) -> Option<usize> {
    let text = &line[unit.start..unit.end];
    if !units::is_name(text) {
        let end = place_after(line, unit)?;
        header.logger = logger_of(text);
        return Some(end);
    }
    let (mut text, mut end) = (text, unit.end);
    while text.contains(&b'{') {
        let Some(next) = next_unit(line, end) else { break };
        let next_text = &line[next.start..next.end];
        if !units::is_name(next_text) {
            break;
        }
        (text, end) = (next_text, next.end);
    }
    header.logger = logger_of(text);
    Some(end)
}

/// One character that stands between the header and the message.
fn is_separator(unit: &[u8]) -> bool {
    matches!(unit, b"-" | b"|" | b"!" | b"*")
}

fn words_before_dash<'a>(line: &'a [u8], first: Unit, header: &mut Header<'a>) -> Option<usize> {
    let mut unit = first;
    for _ in 0..=GAP_MAX {
        if is_separator(&line[unit.start..unit.end]) {
            header.logger = logger_of(&line[first.start..unit.start]);
            return Some(unit.end);
        }
        unit = next_unit(line, unit.end)?;
    }
    None
}

/// The logger without what differs from line to line: the process number in brackets, a trailing colon, span fields, a
/// line number. Empty when nothing but digits and punctuation is left.
fn logger_of(text: &[u8]) -> &[u8] {
    let mut text = text;
    while let Some((last, rest)) = text.split_last()
        && (matches!(last, b':' | b']' | b',' | b'|') || last.is_ascii_whitespace())
        && !(*last == b']' && rest.contains(&b'['))
    {
        text = rest;
    }
    if let Some(open) = text.iter().position(|byte| matches!(byte, b'[' | b'{'))
        && open > 0
    {
        text = &text[..open];
    }
    if let Some(colon) = memchr::memrchr(b':', text)
        && colon > 0
        && text[colon + 1..].iter().all(u8::is_ascii_digit)
    {
        text = &text[..colon];
    }
    if text.iter().any(u8::is_ascii_alphabetic) { text.trim_ascii() } else { &[] }
}

/// Where the message begins: after white space and after a separator that belongs to no column.
#[inline]
fn message_start(line: &[u8], from: usize) -> usize {
    let skip_space = |mut at: usize| {
        while at < line.len() && line[at].is_ascii_whitespace() {
            at += 1;
        }
        at
    };
    let at = skip_space(from);
    match &line[at..] {
        [b'-' | b':' | b'|', b' ', ..] => skip_space(at + 1),
        _ => at,
    }
}

/// How many leading cells the lines have when `|` separates their columns: the first holds a time, and nearly all lines
/// have that many.
fn leading_cells(lines: &[&[u8]]) -> usize {
    let mut counts: Vec<usize> = lines
        .iter()
        .map(|line| {
            let first = line.split(|byte| *byte == b'|').next().unwrap_or_default();
            if units::is_time(first.trim_ascii()) { memchr::memchr_iter(b'|', line).count() } else { 0 }
        })
        .collect();
    counts.sort_unstable();
    counts.get(counts.len() / 20).copied().unwrap_or(0).min(UNITS_MAX)
}

fn read_cells(line: &[u8], cells: usize) -> Option<Header<'_>> {
    let mut header = Header::default();
    let mut at = 0;
    for index in 0..cells {
        let end = at + memchr::memchr(b'|', &line[at..])?;
        let cell = line[at..end].trim_ascii();
        if index > 0 {
            if let (None, Some(severity)) = (header.severity, units::severity_of(cell)) {
                header.severity = Some(severity);
            } else if header.logger.is_empty() && cell.first().is_some_and(u8::is_ascii_alphabetic) {
                header.logger = logger_of(cell);
            }
        }
        at = end + 1;
    }
    header.message = message_start(line, at);
    Some(header)
}
