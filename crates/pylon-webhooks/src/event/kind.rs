//! The known kinds of event, and the names that mean them.

use std::fmt;

/// A kind of event that has a type of its own.
///
/// ```
/// use pylon_webhooks::EventKind;
///
/// assert_eq!(EventKind::from_name("Issue.Status-Changed"), Some(EventKind::IssueStatusChanged));
/// assert_eq!(EventKind::IssueStatusChanged.name(), "issue_status_changed");
/// assert_eq!(EventKind::from_name("ticket.created"), None);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum EventKind {
    /// A new issue: `issue_new`.
    IssueNew,
    /// An issue got an assignee: `issue_assigned`.
    IssueAssigned,
    /// An issue's state changed: `issue_status_changed`.
    IssueStatusChanged,
    /// Some field of an issue changed: `issue_field_changed`.
    IssueFieldChanged,
    /// An issue's tags changed: `issue_tags_changed`.
    IssueTagsChanged,
    /// Somebody reacted to an issue: `issue_reaction`.
    IssueReaction,
    /// A new message on an issue: `issue_message_new`.
    IssueMessageNew,
}

impl EventKind {
    /// Every kind.
    pub const ALL: &'static [Self] = &[
        Self::IssueNew,
        Self::IssueAssigned,
        Self::IssueStatusChanged,
        Self::IssueFieldChanged,
        Self::IssueTagsChanged,
        Self::IssueReaction,
        Self::IssueMessageNew,
    ];

    /// The name that our templates send for this kind.
    pub const fn name(self) -> &'static str {
        match self {
            Self::IssueNew => "issue_new",
            Self::IssueAssigned => "issue_assigned",
            Self::IssueStatusChanged => "issue_status_changed",
            Self::IssueFieldChanged => "issue_field_changed",
            Self::IssueTagsChanged => "issue_tags_changed",
            Self::IssueReaction => "issue_reaction",
            Self::IssueMessageNew => "issue_message_new",
        }
    }

    /// The kind of this name, whatever its case and with `.`, `-` and spaces read as `_`.
    pub fn from_name(name: &str) -> Option<Self> {
        let exact = Self::ALL.iter().copied().find(|kind| kind.name() == name);
        exact.or_else(|| Self::ALL.iter().copied().find(|kind| names_match(kind.name(), name)))
    }

    /// The kind whose name is close to this one, but not equal: probably a misspelling.
    ///
    /// ```
    /// use pylon_webhooks::EventKind;
    ///
    /// assert_eq!(EventKind::probably_meant("isue_new"), Some(EventKind::IssueNew));
    /// assert_eq!(EventKind::probably_meant("issue_new"), None);
    /// assert_eq!(EventKind::probably_meant("invoice.paid"), None);
    /// ```
    pub fn probably_meant(name: &str) -> Option<Self> {
        let name = fold(name);
        Self::ALL
            .iter()
            .copied()
            .map(|kind| (strsim::damerau_levenshtein(kind.name(), &name), kind))
            .min_by_key(|&(distance, _)| distance)
            .filter(|&(distance, _)| (1..=2).contains(&distance))
            .map(|(_, kind)| kind)
    }
}

impl fmt::Display for EventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl AsRef<str> for EventKind {
    fn as_ref(&self) -> &str {
        self.name()
    }
}

/// Whether two event names are equal. Outer whitespace and case do not count, and `_`, `.`, `-` and spaces are equal.
///
/// ```
/// assert!(pylon_webhooks::names_match("issue.created", " Issue-Created"));
/// assert!(!pylon_webhooks::names_match("issue.created", "issue.closed"));
/// ```
pub fn names_match(one: &str, other: &str) -> bool {
    let (one, other) = (one.trim().as_bytes(), other.trim().as_bytes());
    one.len() == other.len() && one.iter().zip(other).all(|(&a, &b)| fold_byte(a) == fold_byte(b))
}

fn fold(name: &str) -> String {
    name.trim().chars().map(|c| if matches!(c, '.' | '-' | ' ') { '_' } else { c.to_ascii_lowercase() }).collect()
}

fn fold_byte(byte: u8) -> u8 {
    match byte {
        b'.' | b'-' | b' ' => b'_',
        _ => byte.to_ascii_lowercase(),
    }
}
