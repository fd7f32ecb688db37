//! Why a ledger was not copied.

use crate::ledger::LedgerError;
use std::fmt;

/// Why a ledger was not copied, or not given up. Nothing is lost: what was in use before is in use.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum CopyFault {
    /// The ledger that is copied fails.
    Source(LedgerError),
    /// The ledger that the copy goes into fails.
    Target(LedgerError),
    /// Both are one ledger, or one is a copy of the other's file.
    SameLedger,
    /// The source was moved to another ledger before, whose name this is.
    MovedElsewhere(Box<str>),
    /// The target has this many events, and may not be added to.
    NotEmpty(u64),
    /// A copy of another ledger into the target, whose name this is, has not ended.
    Unfinished(Box<str>),
    /// An earlier copy of this source is complete in the target, and the source does not know of it.
    Sealed,
    /// An earlier copy of this source is in use in the target.
    InUse,
    /// The source was moved to the target, which does not have the copy.
    Lost,
    /// The target has events of the source that differ: how many, and the first of them.
    Differs {
        /// How many.
        count: u64,
        /// The ids of the first ones.
        first: Vec<String>,
    },
    /// What was put into the target is not what it has: how much, and the first of it.
    Unequal {
        /// How much.
        count: u64,
        /// A sentence for each of the first.
        first: Vec<String>,
    },
}

impl fmt::Display for CopyFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Source(error) => write!(f, "the ledger to copy from: {error}"),
            Self::Target(error) => write!(f, "the ledger to copy into: {error}"),
            Self::SameLedger => f.write_str("expected two ledgers, found one and the same, or a copy of its file; name another ledger to copy into"),
            Self::MovedElsewhere(to) => {
                write!(f, "expected a ledger that is in use, found that it was moved to {to}; copy from there")
            }
            Self::NotEmpty(events) => write!(
                f,
                "expected an empty ledger to copy into, found one with {events} events; name another one, or add `--merge` to have the \
                 events of both in it"
            ),
            Self::Unfinished(from) => write!(
                f,
                "expected no other copy under way in the ledger to copy into, found one from {from}; end that one first, or give it up with \
                 `--give-up`"
            ),
            Self::Sealed => f.write_str(
                "the ledger to copy into has a complete copy of this ledger, from before this ledger was served again or restored; if this \
                 ledger is the right one, give that copy up with `--give-up`, and copy again",
            ),
            Self::InUse => f.write_str(
                "the ledger to copy into has everything of an earlier copy of this ledger in use: copied again, events would be delivered \
                 twice; use that ledger, or copy it into a new one",
            ),
            Self::Lost => f.write_str(
                "this ledger was moved to the ledger to copy into, which does not have the copy: it was replaced or restored; put the right \
                 one in place, or give the move up with `--give-up`, and copy again",
            ),
            Self::Differs { count, first } => write!(
                f,
                "expected events that the ledger to copy into does not have, or has alike, found {count} that differ: {}; nothing of this \
                 ledger is in use there",
                first.join(", ")
            ),
            Self::Unequal { count, first } => write!(
                f,
                "expected the same in both ledgers, found {count} differences: {}; this ledger stays the one to use, and nothing of it is \
                 in use in the other",
                first.join("; ")
            ),
        }
    }
}

impl std::error::Error for CopyFault {}
