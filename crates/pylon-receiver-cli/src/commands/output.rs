//! Where a command prints: text for people or JSON for programs, on standard output.

use super::fault::Fault;
use super::text;
use serde::Serialize;
use std::io::{BufWriter, Stdout, Write};

/// What is printed.
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
    /// Not locked: a command whose threads write a log there would wait for itself.
    stdout: BufWriter<Stdout>,
}

impl Output {
    pub(crate) fn new(format: Format) -> Self {
        Self { format, stdout: BufWriter::new(std::io::stdout()) }
    }

    pub(crate) fn format(&self) -> Format {
        self.format
    }

    /// One line of our own; what came from outside has to go through [`text`] first.
    pub(crate) fn line(&mut self, line: &str) -> Result<(), Fault> {
        self.bytes(line.as_bytes())?;
        self.bytes(b"\n")
    }

    /// Bytes as they stand.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        self.stdout.write_all(bytes).map_err(|error| Fault::output(&error))
    }

    /// A JSON document.
    pub(crate) fn json(&mut self, value: &impl Serialize) -> Result<(), Fault> {
        let document = json_text(value)?;
        self.line(&document)
    }

    /// Hands over what was printed so far.
    pub(crate) fn finish(&mut self) -> Result<(), Fault> {
        self.stdout.flush().map_err(|error| Fault::output(&error))
    }
}

/// A value as JSON that a terminal shows as it stands.
pub(crate) fn json_text(value: &impl Serialize) -> Result<String, Fault> {
    let document = serde_json::to_string_pretty(value);
    let document = document.map_err(|error| Fault::failed(format!("no JSON can be made of the answer: {error}")))?;
    Ok(text::escape_json(&document))
}

/// A line on standard error, beside the output.
pub(crate) fn note(line: &str) {
    // Where standard error is closed, nobody wants to know.
    let _ = writeln!(std::io::stderr(), "{}", text::escape_lines(line));
}
