//! A ledger that is reached over the network, with a spool in front of it: while the ledger is away, events are kept in a file of
//! this machine, and handed over once it is back.
//!
//! New events go one of two ways. *Directly*: to the ledger. *Spooling*: into the spool, from the first event that the ledger could
//! not keep because it is away, until everything is handed over. So of the events of one receiver, none overtakes another.

mod connect;
mod drain;
mod fate;
mod gate;
mod ledger;
mod options;
mod record;
mod room;
mod shared;

pub use connect::Connect;
pub use ledger::SpooledLedger;
pub use options::SpoolOptions;
