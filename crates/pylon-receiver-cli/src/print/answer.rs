//! What a destination answered to a failed attempt, for people.

use crate::print::text;
use pylon_receiver::wire::AttemptAnswer;

/// The answer as indented lines.
pub(crate) fn lines(answer: &AttemptAnswer) -> Vec<String> {
    let content_type =
        answer.content_type.as_deref().map(|name| format!(", {}", text::escape(name))).unwrap_or_default();
    let part = if answer.is_cut { ", a part" } else { "" };
    let length = answer.bytes.len();
    let Some(said) = answer.text() else {
        return vec![format!("    answered{content_type}{part}: {length} bytes that are not text")];
    };
    let mut lines = vec![format!("    answered{content_type}{part}:")];
    lines.extend(said.lines().map(|line| format!("      {}", text::escape(line))));
    lines
}
