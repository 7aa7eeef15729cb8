//! Columns of text.

use super::style::{Paint, Style};

/// A table under construction: every row has as many cells as the head.
pub(super) struct Table {
    rows: Vec<Vec<Cell>>,
}

/// One cell.
#[derive(Clone)]
pub(super) struct Cell {
    text: String,
    paint: Paint,
}

impl From<String> for Cell {
    fn from(text: String) -> Cell {
        Cell { text, paint: Paint::None }
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Cell {
        Cell::from(text.to_owned())
    }
}

impl Cell {
    pub(super) fn painted(text: impl Into<String>, paint: Paint) -> Cell {
        Cell { text: text.into(), paint }
    }
}

impl Table {
    pub(super) fn new(head: &[&str]) -> Table {
        Table { rows: vec![head.iter().map(|title| Cell::painted(*title, Paint::Faint)).collect()] }
    }

    pub(super) fn row(&mut self, cells: Vec<Cell>) {
        self.rows.push(cells);
    }

    /// The lines of the table, each after the indent; columns are as wide as their widest cell, two spaces apart; a column that is
    /// empty in every row is left out.
    pub(super) fn text(&self, indent: &str, style: Style) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let widths: Vec<usize> = (0..columns)
            .map(|column| {
                let cells = || self.rows.iter().filter_map(move |row| row.get(column));
                if cells().skip(1).all(|cell| cell.text.is_empty()) {
                    return 0;
                }
                cells().map(|cell| cell.text.chars().count()).max().unwrap_or(0)
            })
            .collect();
        let mut text = String::new();
        for row in &self.rows {
            let mut line = indent.to_owned();
            let mut gap = 0;
            for (cell, width) in row.iter().zip(&widths).filter(|(_, width)| **width > 0) {
                if !cell.text.is_empty() {
                    line.extend(std::iter::repeat_n(' ', gap));
                    line.push_str(&style.paint(cell.paint, &cell.text));
                    gap = 0;
                }
                gap += width - cell.text.chars().count() + 2;
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }
}
