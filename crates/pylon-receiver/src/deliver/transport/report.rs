//! The outcome of one attempt.

use super::code::Code;
use super::shortage::Shortage;
use crate::ledger::AttemptAnswer;
use std::time::Duration;

/// What a transport reports about an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Whether the event arrived.
    pub delivered: Delivered,
    /// The HTTP status, or the command's exit code.
    pub status: Option<i32>,
    /// What happened, in one sentence without a full stop; never a body or a secret. It may end in what a command or a handler
    /// said, so it is kept in the ledger and not logged.
    pub detail: Box<str>,
    /// The same without anything that the destination said, for the log.
    pub cause: Box<str>,
    /// How long the destination asks to be left alone.
    pub retry_after: Option<Duration>,
    /// What happened, as a stable word.
    pub code: Code,
    /// What the destination said, if the event did not arrive. It is kept in the ledger and not logged.
    pub answer: Option<AttemptAnswer>,
}

/// Whether the event of an attempt arrived; and if not, what that says of the destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivered {
    /// It arrived.
    Yes,
    /// The destination is up, and did not take it: a status such as 400 or 500, an exit code, a handler's error.
    Refused,
    /// The destination is up, and asks for fewer events: a status of 429.
    Busy,
    /// It did not arrive, as far as the receiver can know, and nothing shows that the destination is up: there was no answer, or one
    /// that says that it is down.
    No,
    /// It was not tried, because the receiver itself lacked something.
    NotTried(Shortage),
}

impl Report {
    /// The event arrived.
    pub fn delivered(status: Option<i32>, detail: impl Into<Box<str>>) -> Self {
        Self::new(Delivered::Yes, Code::Ok, status, detail)
    }

    /// The destination did not take the event.
    pub fn refused(code: Code, status: Option<i32>, detail: impl Into<Box<str>>) -> Self {
        Self::new(Delivered::Refused, code, status, detail)
    }

    /// The destination asks for fewer events.
    pub fn busy(code: Code, status: Option<i32>, detail: impl Into<Box<str>>) -> Self {
        Self::new(Delivered::Busy, code, status, detail)
    }

    /// The event did not arrive, and nothing shows that the destination is up.
    pub fn failed(code: Code, status: Option<i32>, detail: impl Into<Box<str>>) -> Self {
        Self::new(Delivered::No, code, status, detail)
    }

    /// The event was not tried.
    pub fn not_tried(shortage: Shortage) -> Self {
        Self::new(Delivered::NotTried(shortage), Code::NOT_TRIED, None, shortage.to_string())
    }

    /// The same, with what the destination said as the detail.
    #[must_use]
    pub fn with_detail(self, detail: impl Into<Box<str>>) -> Self {
        Self { detail: detail.into(), ..self }
    }

    /// The same, with what the destination said.
    #[must_use]
    pub fn with_answer(self, answer: Option<AttemptAnswer>) -> Self {
        Self { answer, ..self }
    }

    fn new(delivered: Delivered, code: Code, status: Option<i32>, detail: impl Into<Box<str>>) -> Self {
        let detail = detail.into();
        Self { delivered, status, cause: detail.clone(), detail, retry_after: None, code, answer: None }
    }
}
