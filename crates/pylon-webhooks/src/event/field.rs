//! What a typed field is: a name, a shape, places in a body, and Pylon's template variable for it.

/// A typed field of an event.
///
/// ```
/// use pylon_webhooks::{EventKind, Shape};
///
/// let number = EventKind::IssueNew.field("issue_number").expect("every issue event has it");
/// assert_eq!(number.shape, Shape::Number);
/// assert_eq!(number.variable.map(|variable| variable.name), Some("issue.number"));
/// ```
#[derive(Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Field {
    /// The name under which the field is read, and the key that our templates send.
    pub name: &'static str,
    /// What it holds, in a sentence.
    pub doc: &'static str,
    /// What the field reads as.
    pub shape: Shape,
    /// Pylon's template variable for it; none where no public source names one.
    pub variable: Option<Variable>,
    /// Where the value may stand, first choice first: `issue.account.id` is found as `issue_account_id`, as `account_id`,
    /// and as `{"issue": {"account": {"id": ...}}}` cut at any dot; `ticket` may stand for `issue`.
    pub(crate) paths: &'static [&'static str],
}

/// A variable of Pylon's templates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Variable {
    /// The name, as it stands between the braces: `issue.title`.
    pub name: &'static str,
    /// A value that Pylon might put in its place; the testing kit does.
    pub sample: &'static str,
}

/// What a typed field reads as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Shape {
    /// An opaque identifier; blank text, `null` and an unresolved `{{ placeholder }}` read as empty.
    Id,
    /// Text as it stands.
    Text,
    /// A whole number.
    Number,
    /// Yes or no.
    Boolean,
    /// A point in time.
    DateTime,
    /// Several texts; the word is the member to take where an element is an object.
    List(&'static str),
}
