//! Standard output: text for people or JSON for programs.

use super::text;
use crate::fault::Fault;
use serde::Serialize;
use std::io::{BufWriter, Stdout, Write};

/// The format of the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// Text for people.
    Text,
    /// One JSON document.
    Json,
}

/// Standard output.
#[derive(Debug)]
pub(crate) struct Output {
    format: Format,
    /// Not locked: a command whose threads log to it would deadlock.
    stdout: BufWriter<Stdout>,
}

impl Output {
    pub(crate) fn new(format: Format) -> Self {
        Self { format, stdout: BufWriter::new(std::io::stdout()) }
    }

    pub(crate) fn format(&self) -> Format {
        self.format
    }

    /// One line. Text from outside has to go through [`text`] first.
    pub(crate) fn line(&mut self, line: &str) -> Result<(), Fault> {
        self.bytes(line.as_bytes())?;
        self.bytes(b"\n")
    }

    /// Bytes, unchanged.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        self.stdout.write_all(bytes).map_err(|error| Fault::output(&error))
    }

    /// A JSON document.
    pub(crate) fn json(&mut self, value: &impl Serialize) -> Result<(), Fault> {
        let document = json_text(value)?;
        self.line(&document)
    }

    /// Writes what is buffered.
    pub(crate) fn finish(&mut self) -> Result<(), Fault> {
        self.stdout.flush().map_err(|error| Fault::output(&error))
    }
}

/// A value as JSON that is harmless for a terminal.
pub(crate) fn json_text(value: &impl Serialize) -> Result<String, Fault> {
    let document = serde_json::to_string_pretty(value);
    let document = document.map_err(|error| Fault::failed(format!("no JSON can be made of the answer: {error}")))?;
    Ok(text::escape_json(&document))
}

/// A line on standard error.
pub(crate) fn note(line: &str) {
    // If standard error is closed, nobody can read it.
    let _ = writeln!(std::io::stderr(), "{}", text::escape_lines(line));
}
