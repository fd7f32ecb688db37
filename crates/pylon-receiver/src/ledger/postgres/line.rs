//! Lines: deliveries to one destination with one order key.

use sha2::{Digest, Sha256};
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
