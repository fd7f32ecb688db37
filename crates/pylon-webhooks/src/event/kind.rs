//! The known kinds of event, and the names that mean them.

use std::fmt;

/// A kind of event that has a type of its own. Its name is what templates send, and not always that of the type.
///
/// | name | type |
/// | --- | --- |
/// | `issue_new` | [`IssueNewEvent`](crate::IssueNewEvent) |
/// | `issue_assigned` | [`IssueAssignedEvent`](crate::IssueAssignedEvent) |
/// | `issue_status_changed` | [`IssueStateChangedEvent`](crate::IssueStateChangedEvent) |
/// | `issue_field_changed` | [`IssueFieldChangedEvent`](crate::IssueFieldChangedEvent) |
/// | `issue_tags_changed` | [`IssueTagsChangedEvent`](crate::IssueTagsChangedEvent) |
/// | `issue_reaction` | [`IssueReactionEvent`](crate::IssueReactionEvent) |
/// | `issue_message_new` | [`MessageNewEvent`](crate::MessageNewEvent) |
///
/// ```
/// use pylon_webhooks::EventKind;
///
/// assert_eq!(EventKind::from_name("Issue.Status-Changed"), Some(EventKind::IssueStatusChanged));
/// assert_eq!(EventKind::from_name("MessageNewEvent"), Some(EventKind::IssueMessageNew));
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

    /// The name of the type that handlers take, in Rust and in Python.
    ///
    /// ```
    /// use pylon_webhooks::EventKind;
    ///
    /// assert_eq!(EventKind::IssueMessageNew.type_name(), "MessageNewEvent");
    /// ```
    pub const fn type_name(self) -> &'static str {
        match self {
            Self::IssueNew => "IssueNewEvent",
            Self::IssueAssigned => "IssueAssignedEvent",
            Self::IssueStatusChanged => "IssueStateChangedEvent",
            Self::IssueFieldChanged => "IssueFieldChangedEvent",
            Self::IssueTagsChanged => "IssueTagsChangedEvent",
            Self::IssueReaction => "IssueReactionEvent",
            Self::IssueMessageNew => "MessageNewEvent",
        }
    }

    /// The kind of this name, whatever its case and with `.`, `-` and spaces read as `_`; or the kind whose type has this
    /// name.
    pub fn from_name(name: &str) -> Option<Self> {
        let exact = Self::ALL.iter().copied().find(|kind| kind.name() == name);
        exact.or_else(|| Self::ALL.iter().copied().find(|kind| kind.is_named(name)))
    }

    /// Whether this is the kind's name, or that of its type.
    pub(crate) fn is_named(self, name: &str) -> bool {
        names_match(self.name(), name) || self.is_type(name)
    }

    fn is_type(self, name: &str) -> bool {
        // Two of the types have another name too, after the event's name.
        let is_type = |stem| name.trim() == self.type_name() || snake(stem) == self.name();
        name.trim().strip_suffix("Event").is_some_and(is_type)
    }

    /// The kind that an unknown name probably means: misspelled, cut short, or taken from the name of the type.
    ///
    /// ```
    /// use pylon_webhooks::EventKind;
    ///
    /// assert_eq!(EventKind::probably_meant("isue_new"), Some(EventKind::IssueNew));
    /// assert_eq!(EventKind::probably_meant("message_new"), Some(EventKind::IssueMessageNew));
    /// assert_eq!(EventKind::probably_meant("issue_new"), None);
    /// assert_eq!(EventKind::probably_meant("invoice.paid"), None);
    /// ```
    pub fn probably_meant(name: &str) -> Option<Self> {
        /// A name that templates in use send for a kind of their own, though it looks like one of ours.
        const REASSIGNED: &str = "issue_reassigned";
        if Self::from_name(name).is_some() || names_match(name, REASSIGNED) {
            return None;
        }
        let name = snake(name);
        let name = name.strip_suffix("_event").unwrap_or(&name);
        let distances = Self::ALL.iter().map(|&kind| (strsim::damerau_levenshtein(kind.name(), name), kind));
        let nearest = distances.min_by_key(|&(distance, _)| distance).filter(|&(distance, _)| distance <= 2);
        nearest.map(|(_, kind)| kind).or_else(|| {
            let mut kinds = Self::ALL.iter().copied().filter(|kind| kind.is_abbreviated(name));
            let found = kinds.next();
            found.filter(|_| kinds.next().is_none())
        })
    }

    /// Whether the name has two or more words of the kind's name, in any order, or is one letter off that.
    fn is_abbreviated(self, name: &str) -> bool {
        let type_stem = snake(self.type_name().trim_end_matches("Event"));
        [self.name(), &type_stem].into_iter().any(|whole| {
            let words: Vec<&str> = whole.split('_').collect();
            // One bit for each word that is left in.
            let mut choices = (1..1u32 << words.len()).filter(|choice| choice.count_ones() >= 2);
            choices.any(|choice| {
                let left = words.iter().enumerate().filter(|(at, _)| choice >> at & 1 == 1);
                let phrase = left.map(|(_, word)| *word).collect::<Vec<_>>().join("_");
                // `new-issue` is sent by templates in use, and is no message.
                let is_kind = choice.count_ones() == 2 && Self::ALL.iter().any(|kind| kind.name() == phrase);
                !is_kind && (strsim::damerau_levenshtein(&phrase, name) <= 1 || sorted(&phrase) == sorted(name))
            })
        })
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

/// A name folded, with an `_` before each capital within a word: `IssueNew` is `issue_new`.
fn snake(name: &str) -> String {
    let mut out = String::with_capacity(name.len() + 4);
    let mut previous = '_';
    for character in name.trim().chars() {
        if character.is_ascii_uppercase() && previous.is_ascii_lowercase() {
            out.push('_');
        }
        out.push(if matches!(character, '.' | '-' | ' ') { '_' } else { character.to_ascii_lowercase() });
        previous = character;
    }
    out
}

fn sorted(phrase: &str) -> Vec<&str> {
    let mut words: Vec<&str> = phrase.split('_').collect();
    words.sort_unstable();
    words
}

fn fold_byte(byte: u8) -> u8 {
    match byte {
        b'.' | b'-' | b' ' => b'_',
        _ => byte.to_ascii_lowercase(),
    }
}
