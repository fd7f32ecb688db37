//! Where a PostgreSQL ledger is, as people write it: a URL, and the environment variables of libpq.

mod address;
mod read;
mod settings;
mod url;

pub use address::{PostgresAddress, PostgresHost, PostgresTls};
