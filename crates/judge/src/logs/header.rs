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

mod cells;
mod columns;
mod lead;
mod parts;
mod shape;
#[cfg(test)]
mod tests;

use super::Severity;
use super::units::{is_time, next_unit};
use cells::{leading_cells, read_cells};
use columns::{Row, group_key, row_of, shape_of};
use lead::{Lead, lead_of};
use shape::Shape;

/// Columns looked at; no known format has more.
const UNITS_MAX: usize = 16;
/// Kinds of headers in one file; what is beyond is read as lines without a header.
const SHAPES_MAX: usize = 6;
/// White space before an indented header, at most.
const INDENT_MAX: usize = 4;
/// A time that makes a header of an indented line is written out in full.
const TIME_BYTES_MIN: usize = 8;
/// Plain words between a time and the severity, at most.
const GAP_MAX: usize = 3;

/// What a header says, and where the message begins.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Header<'a> {
    /// The severity column.
    pub severity: Option<Severity>,
    /// The logger, without process number and colon; empty where there is none.
    pub logger: &'a [u8],
    /// Offset of the message.
    pub message: usize,
    /// The whole line is header, and the message stands on the next.
    pub leads: bool,
}

/// The kinds of headers of one source.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Headers {
    shapes: Vec<Shape>,
    /// Leading cells of a line whose columns are separated by `|`; 0 when they are not.
    cells: usize,
    /// Headers on lines of their own.
    lead: Option<Lead>,
}

/// Whether a line begins with white space and then a time: a record of Rust's pretty tracing.
pub(super) fn is_indented_header(line: &[u8]) -> bool {
    line.first() == Some(&b' ')
        && next_unit(line, 0).is_some_and(|unit| {
            unit.start <= INDENT_MAX && unit.end - unit.start >= TIME_BYTES_MIN && is_time(&line[unit.start..unit.end])
        })
}

impl Headers {
    /// Finds the headers of a sample of lines. The order of the lines does not matter, except where headers stand on lines
    /// of their own. Lines that begin with white space (unless a time follows it) or a brace (stack traces, JSON) take no part.
    pub fn recognise(sample: &[&[u8]]) -> Headers {
        let lead = lead_of(sample);
        let lines: Vec<&[u8]> = sample
            .iter()
            .copied()
            .filter(|line| {
                line.first().is_some_and(|first| !first.is_ascii_whitespace() && *first != b'{')
                    || is_indented_header(line)
            })
            .filter(|line| lead.is_none_or(|lead| lead.read(line).is_none()))
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
        Headers { shapes, cells, lead }
    }

    /// Whether no header was found: lines are messages as they stand.
    pub fn is_bare(&self) -> bool {
        self.shapes.is_empty() && self.cells == 0 && self.lead.is_none()
    }

    /// Reads the header of a line; `None` when the line has none of the known ones.
    #[inline]
    pub fn read<'a>(&self, line: &'a [u8]) -> Option<Header<'a>> {
        if let Some(lead) = self.lead {
            let header = lead.read(line);
            if header.is_some() {
                return header;
            }
        }
        if self.cells > 0
            && let Some(header) = read_cells(line, self.cells)
        {
            return Some(header);
        }
        self.shapes.iter().find_map(|shape| shape.read(line))
    }
}
