//! The outcome of one attempt.

use std::time::Duration;

/// What a transport reports about an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Whether the event arrived.
    pub delivered: Delivered,
    /// The HTTP status, or the command's exit code.
    pub status: Option<i32>,
    /// What happened, in one sentence without a full stop; never a body or a secret.
    pub detail: Box<str>,
    /// How long the destination asks to be left alone.
    pub retry_after: Option<Duration>,
}

/// Whether the event of an attempt arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivered {
    /// It arrived.
    Yes,
    /// It did not arrive, as far as the receiver can know.
    No,
}

impl Report {
    /// The event arrived.
    pub fn delivered(status: Option<i32>, detail: impl Into<Box<str>>) -> Self {
        Self { delivered: Delivered::Yes, status, detail: detail.into(), retry_after: None }
    }

    /// The event did not arrive.
    pub fn failed(status: Option<i32>, detail: impl Into<Box<str>>) -> Self {
        Self { delivered: Delivered::No, status, detail: detail.into(), retry_after: None }
    }
}
