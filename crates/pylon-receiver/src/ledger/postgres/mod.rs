//! The ledger in a PostgreSQL database, which several receivers share.
//!
//! Nothing here may rely on being the only writer: who looks before it writes locks first, and looks in a later statement. Locks are
//! taken in this order everywhere, each kind sorted: lines, deduplication keys, events, rows of `open`.

mod advance;
mod aside;
mod behind;
mod changes;
mod choose;
mod chores;
mod claim;
mod connection;
mod connector;
mod copied;
mod copy_into;
mod database;
mod dead;
mod dial;
mod driver;
mod durability;
mod error;
mod exchange;
mod exhausted;
mod hand_over;
mod hold_up;
mod insert;
mod lease;
mod ledger;
mod lent;
mod line;
mod lost;
mod migrate;
mod notifier;
mod options;
mod orders;
mod parts;
mod pooler;
mod probe;
mod probing;
mod prune;
mod pulse;
mod read;
mod reassign;
mod record;
mod redeliver;
mod refused;
mod round;
mod row;
mod schema;
mod server;
mod session;
mod settings;
mod settle;
mod sharing;
mod stream;
mod tallies;
mod terms;
mod tls;
mod transaction;
mod tries;
mod under_order;
mod under_way;
mod waiting;
mod wake;
mod writer;

pub use ledger::PostgresLedger;
pub use options::{PostgresOptions, ReadPassword};
