//! Settles and claims for one destination, in one transaction.

use super::database::Database;
use super::error::Fault;
use crate::ledger::{Exchange, Exchanged, Lease, Owner};
use std::sync::Arc;
use std::time::Duration;

/// First the settlements, then the claim.
pub(super) async fn run(_database: Arc<Database>, _exchange: Exchange) -> Result<Exchanged, Fault> {
    Err(Fault::Other("under construction".into()))
}

/// Extends leases; says for each whether it holds.
pub(super) async fn renew(
    _database: Arc<Database>,
    _leases: Vec<Lease>,
    _length: Duration,
) -> Result<Vec<bool>, Fault> {
    Err(Fault::Other("under construction".into()))
}

/// Gives back all leases of an owner.
pub(super) async fn release(_database: Arc<Database>, _owner: Owner) -> Result<u64, Fault> {
    Err(Fault::Other("under construction".into()))
}
