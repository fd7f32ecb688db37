//! Values that nobody has verified, as if they had been.

use crate::verified::Verified;

/// Marks a value as verified that nobody has verified, for a test of a function that takes such a value.
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
    Verified::of_test(value)
}
