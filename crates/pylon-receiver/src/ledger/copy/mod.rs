//! Everything of one ledger, given to another.
//!
//! [`Copying`] reads pages from a [`CopySource`] and puts them into a [`CopyTarget`]. Nothing that was put there is attempted before
//! everything is there, is verified, and the source has written down that it was moved. So a copy that is broken off costs nothing:
//! the source can be served again, and the copy can be run again.

mod copying;
mod fault;
mod give_up;
mod id;
mod rows;
mod source;
mod summary;
mod target;

pub use copying::{CopyOutcome, CopyProgress, CopyStep, Copying};
pub use fault::CopyFault;
pub use give_up::{GivenUp, give_up};
pub use id::{CopyId, CopyPlace, LedgerId};
pub use rows::{DeliveryCopy, EventCopy, KeyCopy, KeyName, RefusedCopy};
pub use source::{CopySource, CopyTotals, Held, Holding};
pub use summary::{CopyCounts, CopySummary, DeliveryCounts};
pub use target::{CopyHead, CopyState, CopyTarget, Incoming, Put, PutKey};
