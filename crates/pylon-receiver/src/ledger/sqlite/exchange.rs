//! Settles and claims for one destination, in one job.

use super::transaction::Transaction;
use super::{claim, settle};
use crate::ledger::{Claimed, Exchange, Exchanged};

/// First the settlements, then the claim.
pub(super) fn run(transaction: &mut Transaction<'_>, exchange: &Exchange) -> rusqlite::Result<Exchanged> {
    let Exchange { destination, settlements, claim } = exchange;
    let was_woken = transaction.woken.contains(destination);
    let mut settled = Vec::with_capacity(settlements.len());
    for settlement in settlements {
        settled.push(settle::run(transaction, destination, settlement)?);
    }
    let Some(claim) = claim else { return Ok(Exchanged { settled, claimed: Claimed::default() }) };
    let claimed = claim::run(transaction, destination, claim)?;
    if !was_woken {
        // The claim saw everything that the settlements made due.
        transaction.woken.retain(|woken| woken != destination);
    }
    Ok(Exchanged { settled, claimed })
}
