//! What is wrong with a configuration.

use super::place::Place;
use std::fmt;

/// All that is wrong with a configuration, a sentence a line; never a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigFault(Vec<String>);

impl ConfigFault {
    pub(super) fn new(faults: Vec<String>) -> Self {
        Self(faults)
    }

    /// What is wrong, one by one, in the order of the file where there is one.
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

/// One of them, where it stands and not yet on which line.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) place: Place,
    pub(super) key: Option<&'static str>,
    pub(super) text: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.key, self.place) {
            (Some(key), Place::Top) => write!(f, "`{key}`: {}", self.text),
            (Some(key), place) => write!(f, "`{key}` in {place}: {}", self.text),
            (None, Place::Top) => f.write_str(&self.text),
            (None, place) => write!(f, "{place}: {}", self.text),
        }
    }
}
