//! The ledger in a SQLite file: one thread writes, many jobs to a commit; readers read beside it.
//!
//! One process has the file. That one thread writes is a detail of this folder: here a look and the write that follows it
//! cannot be separated, which the contract does not promise.

mod backup;
mod checkpoint;
mod claim;
mod clock;
mod copied;
mod copy_from;
mod copy_into;
mod error;
mod exchange;
mod files;
mod indexer;
mod lease;
mod ledger;
mod moving;
mod open;
mod options;
mod orders;
mod prune;
mod read;
mod readers;
mod reassign;
mod record;
mod redeliver;
mod refused;
mod row;
mod search;
mod settle;
mod spool;
mod terms;
mod transaction;
mod wal;
mod writer;

pub use copy_from::open_to_copy_from;
pub use copy_into::open_to_copy_into;
pub use ledger::SqliteLedger;
pub use options::SqliteOptions;
pub(in crate::ledger) use record::Kept;
pub(in crate::ledger) use spool::{Left, Said, SpoolFile, Spooled, bytes_of};
