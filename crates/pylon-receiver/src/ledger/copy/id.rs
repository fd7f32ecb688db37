//! What tells ledgers, and copies of them, from each other.

use crate::random::{Randomness, SystemRandomness};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;

macro_rules! sixteen_bytes {
    ($(#[$meta:meta])* $name:ident) => {
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash)]
        pub struct $name([u8; 16]);

        impl $name {
            /// The id with these sixteen bytes.
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(bytes)
            }

            /// The sixteen bytes, to store.
            pub const fn as_bytes(&self) -> &[u8; 16] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:032x}", u128::from_be_bytes(self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({self})", stringify!($name))
            }
        }
    };
}

sixteen_bytes! {
    /// What a ledger is, whatever its name: random, made with the ledger, and kept by copies of its file.
    LedgerId
}

sixteen_bytes! {
    /// One copy of a ledger into another, from its begin to its end, however often it is broken off.
    CopyId
}

impl CopyId {
    /// The id of a new copy.
    pub fn random() -> Self {
        let mut bytes = [0; 16];
        SystemRandomness.fill(&mut bytes);
        Self(bytes)
    }
}

impl Serialize for CopyId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for CopyId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let number = u128::from_str_radix(&text, 16).map_err(serde::de::Error::custom)?;
        Ok(Self(number.to_be_bytes()))
    }
}

/// A ledger at one end of a copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopyPlace {
    /// What it is.
    pub id: LedgerId,
    /// Where it is, for people: as `ledger` in a configuration would say it, without a password.
    pub name: Box<str>,
}
