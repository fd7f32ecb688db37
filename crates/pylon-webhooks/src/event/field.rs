//! A typed field: its name, its shape, its places in a body, and Pylon's template variable for it.

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
    /// The field's name, and the key in our templates.
    pub name: &'static str,
    /// What the field contains, in a sentence.
    pub doc: &'static str,
    /// The field's shape.
    pub shape: Shape,
    /// Pylon's template variable for the field; none when no public source names one.
    pub variable: Option<Variable>,
    /// The places of the value, first choice first. `issue.account.id` is found as `issue_account_id`, as `account_id`,
    /// and as `{"issue": {"account": {"id": ...}}}` cut at any dot; `ticket` is read as `issue`.
    pub(crate) paths: &'static [&'static str],
}

/// A variable of Pylon's templates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Variable {
    /// The name between the braces: `issue.title`.
    pub name: &'static str,
    /// An example value, which the testing kit uses.
    pub sample: &'static str,
}

/// The type of a field's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Shape {
    /// An opaque identifier; blank text, `null` and an unresolved `{{ placeholder }}` read as empty.
    Id,
    /// Text, unchanged.
    Text,
    /// A whole number.
    Number,
    /// Yes or no.
    Boolean,
    /// A point in time.
    DateTime,
    /// Several texts. When an element is an object, the text is its member of this name.
    List(&'static str),
}
