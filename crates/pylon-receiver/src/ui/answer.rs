//! What a destination answered, as pages show it.

use crate::wire::{AttemptAnswer, AttemptRecord};

/// An attempt as a page shows it.
pub(super) struct Attempt {
    pub(super) record: AttemptRecord,
    pub(super) answer: Option<Answer>,
}

/// An answer as a page shows it.
pub(super) enum Answer {
    /// The same as that to the attempt of this number.
    SameAs(u32),
    Text {
        /// What it is: its type, and whether it is whole.
        about: String,
        text: String,
    },
    /// It is no text.
    Binary { about: String, length: u64 },
}

impl From<&AttemptAnswer> for Answer {
    fn from(answer: &AttemptAnswer) -> Self {
        let content_type = answer.content_type.as_deref().filter(|name| !name.trim().is_empty());
        let part = if answer.is_cut { "a part" } else { "all of it" };
        let about = content_type.map_or_else(|| part.to_owned(), |content_type| format!("{content_type}, {part}"));
        match answer.text() {
            Some(text) => Self::Text { about, text: text.to_owned() },
            None => Self::Binary { about, length: answer.bytes.len() as u64 },
        }
    }
}

/// The attempts with their answers. One that is the same as the one before is named and not shown again.
pub(super) fn attempts(log: &[AttemptRecord]) -> Vec<Attempt> {
    let mut last: Option<(u32, &AttemptAnswer)> = None;
    let mut attempts = Vec::with_capacity(log.len());
    for record in log {
        let answer = record.answer.as_ref().map(|answer| match last {
            Some((attempt, before)) if before == answer => Answer::SameAs(attempt),
            _ => {
                last = Some((record.attempt, answer));
                Answer::from(answer)
            }
        });
        attempts.push(Attempt { record: record.clone(), answer });
    }
    attempts
}
