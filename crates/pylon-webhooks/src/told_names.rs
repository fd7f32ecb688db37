//! The event names that the log has told of: each once.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

/// How many names are told, and how many characters of each. Senders choose names, so there must be a limit.
const MOST: usize = 100;
const LONGEST: usize = 100;

#[derive(Debug, Default)]
pub(crate) struct ToldNames(Mutex<HashSet<Box<str>>>);

impl ToldNames {
    /// The beginning of the name, if the log is to tell of it: the first time, while there is room.
    pub(crate) fn first<'n>(&self, name: &'n str) -> Option<&'n str> {
        let name = name.char_indices().nth(LONGEST).map_or(name, |(end, _)| &name[..end]);
        let mut names = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        (names.len() < MOST && names.insert(name.into())).then_some(name)
    }
}
