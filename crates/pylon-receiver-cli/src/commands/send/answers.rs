//! Answers: a few are printed one by one, many are summed up.

use crate::fault::{Exit, Fault};
use crate::print::output::{Format, Output};
use crate::print::text;
use http::StatusCode;
use reqwest::Url;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Up to this many answers are printed one by one.
const MOST_TOLD: u32 = 10;
/// How much of an answer's body to show, in columns.
const BODY_SHOWN: usize = 200;

/// An answer.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) body: String,
}

/// A request without an answer.
pub(super) struct Unanswered {
    pub(super) reason: String,
    /// Whether the connection was made.
    pub(super) is_connected: bool,
}

/// All answers.
pub(super) struct Answers {
    count: u32,
    is_forged: bool,
    shown: Vec<Value>,
    statuses: BTreeMap<u16, u32>,
    unanswered: BTreeMap<String, u32>,
    as_expected: u32,
    unconnected: u32,
}

impl Answers {
    /// For this many requests; the expected answer is 401 to forged ones, else 2xx.
    pub(super) fn new(count: u32, is_forged: bool) -> Self {
        Self {
            count,
            is_forged,
            shown: Vec::new(),
            statuses: BTreeMap::new(),
            unanswered: BTreeMap::new(),
            as_expected: 0,
            unconnected: 0,
        }
    }

    /// Adds an answer, and prints it.
    pub(super) fn add(
        &mut self,
        number: u32,
        answer: Result<Answer, Unanswered>,
        out: &mut Output,
    ) -> Result<(), Fault> {
        let (line, value) = match answer {
            Ok(Answer { status, body }) => {
                let is_expected = if self.is_forged { status == StatusCode::UNAUTHORIZED } else { status.is_success() };
                self.as_expected += u32::from(is_expected);
                *self.statuses.entry(status.as_u16()).or_default() += 1;
                let line = format!("{} {}", status.as_u16(), text::cut(body.trim_end(), BODY_SHOWN));
                (line, json!({"number": number, "status": status.as_u16(), "body": body}))
            }
            Err(Unanswered { reason, is_connected }) => {
                self.unconnected += u32::from(!is_connected);
                *self.unanswered.entry(reason.clone()).or_default() += 1;
                (format!("no answer: {}", text::escape(&reason)), json!({"number": number, "unanswered": reason}))
            }
        };
        if self.count > MOST_TOLD {
            return Ok(());
        }
        match out.format() {
            Format::Text if self.count == 1 => out.line(line.trim_end())?,
            Format::Text => out.line(format!("{number}: {line}").trim_end())?,
            Format::Json => self.shown.push(value),
        }
        out.finish()
    }

    /// Prints the sum, and fails unless every answer was as expected.
    pub(super) fn end(mut self, to: &Url, out: &mut Output) -> Result<(), Fault> {
        match out.format() {
            Format::Text if self.count > MOST_TOLD => self.tell_sum(out)?,
            Format::Text => {}
            Format::Json => {
                self.shown.sort_by_key(|answer| answer["number"].as_u64());
                let mut sum = json!({
                    "sent": self.count,
                    "as_expected": self.as_expected,
                    "statuses": self.statuses,
                    "unanswered": self.unanswered,
                });
                if self.count <= MOST_TOLD {
                    sum["answers"] = self.shown.into();
                }
                out.json(&sum)?;
            }
        }
        if self.as_expected == self.count {
            return Ok(());
        }
        out.finish()?;
        if self.unconnected == self.count {
            return Err(Fault::new(Exit::NoReceiver, format!("nothing answers at {to}")));
        }
        let expected = if self.is_forged { "401" } else { "2xx" };
        Err(Fault::failed(format!(
            "expected {} to be answered {expected}, found {}",
            requests(self.count),
            self.as_expected
        )))
    }

    fn tell_sum(&self, out: &mut Output) -> Result<(), Fault> {
        out.line(&format!("{} sent", requests(self.count)))?;
        for (status, count) in &self.statuses {
            out.line(&format!("{count} answered {status}"))?;
        }
        for (reason, count) in &self.unanswered {
            out.line(&format!("{count} not answered: {}", text::escape(reason)))?;
        }
        Ok(())
    }
}

fn requests(count: u32) -> String {
    if count == 1 { "1 request".into() } else { format!("{count} requests") }
}
