//! Unverified values, marked as verified for tests.

use crate::verified::Verified;

/// Marks an unverified value as verified, to test a function that takes verified values.
///
/// ```
/// use pylon_webhooks::testing::{Sample, verified};
/// use pylon_webhooks::{EventKind, IssueNewEvent, Verified};
///
/// fn webhook(event: Verified<IssueNewEvent>) -> String {
///     event.issue_title().into_owned()
/// }
///
/// let event = IssueNewEvent::of(&Sample::of(EventKind::IssueNew).event()).expect("issue_new");
/// assert_eq!(webhook(verified(event)), "Export fails");
/// ```
pub fn verified<T>(value: T) -> Verified<T> {
    Verified::without_request(value)
}
