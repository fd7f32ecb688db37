//! Tables: aligned columns, each cell in one line.

use super::output::Output;
use super::text;
use crate::fault::Fault;

/// A column of a table.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Column {
    heading: &'static str,
    most: usize,
    side: Side,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Left,
    Right,
}

impl Column {
    /// Names and the like, cut to 32 columns.
    pub(crate) const fn name(heading: &'static str) -> Self {
        Self { heading, most: 32, side: Side::Left }
    }

    /// Text that is never cut, as ids are.
    pub(crate) const fn whole(heading: &'static str) -> Self {
        Self { heading, most: 64, side: Side::Left }
    }

    /// A sentence, cut to 100 columns.
    pub(crate) const fn sentence(heading: &'static str) -> Self {
        Self { heading, most: 100, side: Side::Left }
    }

    /// A number.
    pub(crate) const fn number(heading: &'static str) -> Self {
        Self { heading, most: 24, side: Side::Right }
    }
}

/// A table that is printed page by page: columns only get wider.
#[derive(Debug)]
pub(crate) struct Table {
    columns: &'static [Column],
    widths: Vec<usize>,
    is_headed: bool,
}

impl Table {
    pub(crate) fn new(columns: &'static [Column]) -> Self {
        let widths = columns.iter().map(|column| text::width(column.heading)).collect();
        Self { columns, widths, is_headed: false }
    }

    /// Prints rows, with the headings before the first one. An empty cell shows `-`.
    pub(crate) fn rows(&mut self, rows: &[Vec<String>], out: &mut Output) -> Result<(), Fault> {
        let rows: Vec<Vec<String>> = rows.iter().map(|row| self.cells(row)).collect();
        for row in &rows {
            for (width, cell) in self.widths.iter_mut().zip(row) {
                *width = (*width).max(text::width(cell));
            }
        }
        if !self.is_headed {
            self.is_headed = true;
            let headings: Vec<String> = self.columns.iter().map(|column| column.heading.into()).collect();
            out.line(&self.line(&headings))?;
        }
        rows.iter().try_for_each(|row| out.line(&self.line(row)))
    }

    fn cells(&self, row: &[String]) -> Vec<String> {
        let cell = |(column, cell): (&Column, &String)| match cell.as_str() {
            "" => "-".into(),
            cell => text::cut(cell, column.most),
        };
        self.columns.iter().zip(row).map(cell).collect()
    }

    fn line(&self, row: &[String]) -> String {
        let mut line = String::new();
        for ((column, &width), cell) in self.columns.iter().zip(&self.widths).zip(row) {
            let space = " ".repeat(width.saturating_sub(text::width(cell)));
            match column.side {
                Side::Left => line.extend([cell.as_str(), &space]),
                Side::Right => line.extend([space.as_str(), cell]),
            }
            line.push_str("  ");
        }
        line.truncate(line.trim_end().len());
        line
    }
}
