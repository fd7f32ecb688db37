//! Lines: deliveries to one destination with one order key.

use super::error::Fault;
use crate::ledger::NewEvent;
use deadpool_postgres::Transaction;
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use uuid::Uuid;

/// The number of a line: its lock, and what its deliveries have in common.
///
/// A hash, so that a key of any length has a short index entry. Two keys with one number would share a line and wait for each other.
pub(super) fn line(ledger: Uuid, destination: &str, order_key: &str) -> i64 {
    let mut hash = Sha256::new();
    hash.update(ledger.as_bytes());
    // The length tells where the destination ends.
    hash.update((destination.len() as u64).to_be_bytes());
    hash.update(destination.as_bytes());
    hash.update(order_key.as_bytes());
    let digest = hash.finalize();
    let mut first = [0; 8];
    first.copy_from_slice(&digest[..8]);
    i64::from_be_bytes(first)
}

/// The lines that the event's deliveries join.
pub(super) fn lines_of(ledger: Uuid, event: &NewEvent) -> impl Iterator<Item = i64> {
    event.deliveries.iter().filter_map(move |delivery| {
        delivery.order_key.as_deref().map(|order_key| line(ledger, &delivery.destination, order_key))
    })
}

/// Locks lines in the order of the array.
pub(super) const LOCK_LINES: &str = "SELECT pg_advisory_xact_lock(line) FROM unnest($1::bigint[]) AS line";

/// Locks lines until the end of the transaction. Whoever looks at a line before it writes does so in a later statement: this one does not
/// see what those did that it waited for.
pub(super) async fn lock(transaction: &Transaction<'_>, lines: &BTreeSet<i64>) -> Result<(), Fault> {
    if lines.is_empty() {
        return Ok(());
    }
    let sorted: Vec<i64> = lines.iter().copied().collect();
    let lock = transaction.prepare_cached(LOCK_LINES).await?;
    transaction.execute(&lock, &[&sorted]).await?;
    Ok(())
}

/// The line of a delivery with this order key.
pub(super) fn line_of(ledger: Uuid, destination: &str, order_key: Option<&[u8]>) -> Result<Option<i64>, Fault> {
    let Some(order_key) = order_key else { return Ok(None) };
    let order_key = std::str::from_utf8(order_key)
        .map_err(|_| Fault::Other("expected an order key in UTF-8, found other bytes".into()))?;
    Ok(Some(line(ledger, destination, order_key)))
}

/// The lines that a part needs, as far as it has found out. Which ones stands in its deliveries, and these may be moved until they are
/// locked: so it looks, locks, looks again, and begins anew with more lines where the second look finds others.
#[derive(Default)]
pub(super) struct Lines(Mutex<BTreeSet<i64>>);

impl Lines {
    /// Locks all that are known, and these.
    pub(super) async fn lock(&self, transaction: &Transaction<'_>, found: BTreeSet<i64>) -> Result<(), Fault> {
        let known = {
            let mut known = self.known();
            known.extend(found);
            known.clone()
        };
        lock(transaction, &known).await
    }

    /// That all of these are locked.
    pub(super) fn check(&self, found: BTreeSet<i64>) -> Result<(), Fault> {
        let mut known = self.known();
        if found.is_subset(&known) {
            return Ok(());
        }
        known.extend(found);
        Err(Fault::Again("deliveries were moved to another destination meanwhile".into()))
    }

    fn known(&self) -> MutexGuard<'_, BTreeSet<i64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
