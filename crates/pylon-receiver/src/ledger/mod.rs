//! Where acknowledged events are kept until they are delivered.
//!
//! [`Ledger`] is the contract; the other types here go in and out of it. SQL and its types stay in the folders of the
//! implementations.

mod answer;
mod backup;
mod chore;
mod content;
mod contract;
pub(crate) mod copy;
mod durability;
mod error;
mod event;
mod exchange;
mod lease;
mod observer;
mod order;
#[cfg(feature = "postgres")]
mod postgres;
mod read;
mod refused;
mod spool;
mod spool_status;
pub(crate) mod sqlite;
mod state;
mod terms;
mod wake;

pub use answer::AttemptAnswer;
pub use backup::Backup;
pub use chore::{Prune, Pruned};
pub(crate) use content::BodyText;
pub use content::{IssueSummary, body_contains};
pub use contract::{Ledger, LedgerFuture};
pub use copy::{
    CopyCounts, CopyFault, CopyId, CopyOutcome, CopyPlace, CopyProgress, CopyStep, CopySummary, DeliveryCounts,
    GivenUp, LedgerId,
};
pub use durability::Durability;
pub use error::LedgerError;
pub use event::{DeduplicationKey, NewDelivery, NewEvent, Recorded};
pub(crate) use exchange::{ANSWERS_AT_AN_END, DAMAGED, INTERRUPTED};
pub use exchange::{Claim, Claimed, Exchange, Exchanged, NewAttempt, Settled, Settlement, Verdict};
pub use lease::{Lease, LeasedDelivery, Owner};
pub use observer::CommitObserver;
pub use order::{BegunOrder, Carried, NewOrder, OrderEnd, OrderPart, OrderRecord, OrderSource, OrderState, OrderVerb};
#[cfg(feature = "postgres")]
pub use postgres::{PostgresLedger, PostgresOptions, ReadPassword};
pub use read::{
    AttemptRecord, DeadGroup, DeliveryFilter, DeliveryRecord, DestinationStats, EventDetail, EventFilter, EventRecord,
    EventState, FoundEvents, Order, Page, RefusedFilter, RefusedRecord, Stats,
};
pub use refused::NewRefused;
pub use spool::{Connect, SpoolOptions, SpooledLedger};
pub use spool_status::SpoolStatus;
pub use sqlite::{SqliteLedger, SqliteOptions};
pub use state::DeliveryState;
pub use terms::Terms;
pub use wake::{Bell, Wake, Wakes};
