//! What is wrong with a configuration, and where.

use std::fmt;

/// Everything that is wrong with a configuration, one sentence a line; never a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigFault(Vec<String>);

impl ConfigFault {
    pub(crate) fn new(faults: Vec<String>) -> Self {
        Self(faults)
    }

    /// The faults one by one, in the order of the file if there is one.
    pub fn faults(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }
}

impl fmt::Display for ConfigFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("\n"))
    }
}

impl std::error::Error for ConfigFault {}

/// A table of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Place {
    /// The table as the file writes it, such as `[limits]`; empty for the top of the file.
    pub(crate) table: &'static str,
    /// The entry of a list that the table is or belongs to, counted from 0.
    pub(crate) entry: Option<(&'static str, usize)>,
}

impl Place {
    /// The keys before the first table.
    pub(crate) const TOP: Self = Self { table: "", entry: None };

    /// An entry of a list.
    pub(crate) const fn entry(list: &'static str, index: usize) -> Self {
        Self { table: list, entry: Some((list, index)) }
    }

    /// A table inside this one.
    pub(super) fn inner(self, table: &'static str) -> Self {
        Self { table, ..self }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.entry {
            None => f.write_str(self.table),
            Some((list, index)) if list == self.table => write!(f, "{list} {}", index + 1),
            Some((list, index)) => write!(f, "{} of {list} {}", self.table, index + 1),
        }
    }
}

/// One thing that is wrong, without its line.
#[derive(Debug)]
pub(crate) struct Fault {
    pub(crate) place: Place,
    /// The key; none if the table as a whole is wrong.
    pub(crate) key: Option<&'static str>,
    pub(crate) text: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.key, self.place) {
            (Some(key), Place::TOP) => write!(f, "`{key}`: {}", self.text),
            (Some(key), place) => write!(f, "`{key}` in {place}: {}", self.text),
            (None, Place::TOP) => f.write_str(&self.text),
            (None, place) => write!(f, "{place}: {}", self.text),
        }
    }
}
