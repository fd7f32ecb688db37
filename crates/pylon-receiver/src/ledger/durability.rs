//! What a commit of a ledger is worth.

/// What an answer of 200 means at present: on how many disks the event is.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Durability {
    /// On so many disks an event is before its sender gets 200.
    pub disks: u32,
    /// The same in words, with what decides it.
    pub meaning: Box<str>,
    /// Why that is less than was promised, or why nothing can be confirmed now, and what to do; none: the promise is kept.
    pub unkept: Option<Box<str>>,
}

impl Durability {
    /// The value of an implementation.
    pub fn new(disks: u32, meaning: impl Into<Box<str>>, unkept: Option<Box<str>>) -> Self {
        Self { disks, meaning: meaning.into(), unkept }
    }
}
