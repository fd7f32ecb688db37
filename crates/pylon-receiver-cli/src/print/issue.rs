//! The issue of an event, in a cell or in a line.

use super::text::escape;
use pylon_receiver::wire::IssueSummary;

/// Its number, for a cell of a table.
pub(crate) fn number(issue: Option<&IssueSummary>) -> String {
    issue.and_then(|issue| issue.number.clone()).unwrap_or_default()
}

/// Its title, for a cell of a table.
pub(crate) fn title(issue: Option<&IssueSummary>) -> String {
    issue.and_then(|issue| issue.title.clone()).unwrap_or_default()
}

/// Number, title and id in one line: `#1042 Export fails (5b0c0f0e)`.
pub(crate) fn line(issue: &IssueSummary) -> String {
    let number = issue.number.as_ref().map(|number| format!("#{number}"));
    let id = issue.id.as_ref().map(|id| format!("({id})"));
    let parts: Vec<String> = [number, issue.title.clone(), id].into_iter().flatten().collect();
    escape(&parts.join(" ")).into_owned()
}
