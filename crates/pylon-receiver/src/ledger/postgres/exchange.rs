//! Settles and claims for one destination.
//!
//! Mostly that is one transaction. A delivery that cannot be attempted ends in a transaction of its own, which takes its locks in the order
//! in which all take them; then the claim begins anew.

use super::choose::Due;
use super::claim::Leased;
use super::database::Database;
use super::error::Fault;
use super::exhausted::{self, Reason};
use super::round::{Exchanging, Next, Round};
use super::row::event_of;
use super::settle::{Outcome, Settling};
use super::tries::tried_within;
use crate::id::DeliveryId;
use crate::ledger::{Exchange, Exchanged};
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

/// Deliveries that one exchange ends at most, because they cannot be attempted; the next one goes on.
const MOST_EXHAUSTED: usize = 256;
/// How often a claim begins anew at most; the next one goes on.
const MOST_ROUNDS: usize = 300;

/// First the settlements, then the claim.
pub(super) async fn run(database: Arc<Database>, exchange: Exchange) -> Result<Exchanged, Fault> {
    let Exchange { destination, settlements, claim } = &exchange;
    let settling = Settling::of(destination, settlements, &database.lost);
    let result = Exchanging { database: &database, destination, claim: claim.as_ref() }.run(&settling).await;
    match &result {
        Ok(_) => database.lost.answered(settling.leases()),
        // They may be committed.
        Err(_) => database.lost.settlements(settling.leases()),
    }
    result
}

impl Exchanging<'_> {
    async fn run(&self, settling: &Settling<'_>) -> Result<Exchanged, Fault> {
        let mut exchanged = Exchanged::default();
        let mut unsettled = (!settling.is_empty()).then_some(settling);
        if unsettled.is_none() && self.claim.is_none() {
            return Ok(exchanged);
        }
        let claimed = &mut exchanged.claimed;
        let mut chosen = Vec::new();
        for _ in 0..MOST_ROUNDS {
            let most_exhausted = MOST_EXHAUSTED.saturating_sub(claimed.exhausted.len());
            if most_exhausted == 0 {
                break;
            }
            let Round { settled, next } = tried_within(self.database.options.exchange_within(), async || {
                self.round(unsettled, &chosen, most_exhausted).await
            })
            .await?;
            if let Some(outcome) = settled {
                self.wake(settling, &outcome, &next);
                exchanged.settled = settling.answers(&outcome);
                unsettled = None;
            }
            match next {
                Next::Nothing => return Ok(exchanged),
                Next::Leased(leased) => {
                    let Leased { claimed: new, unreadable } = leased;
                    claimed.deliveries = new.deliveries;
                    claimed.suspects_wait |= new.suspects_wait;
                    claimed.next_due = new.next_due;
                    if !unreadable.is_empty() {
                        claimed.next_due = Some(Duration::ZERO);
                        // Whatever comes of it, the caller has to hear of what is leased.
                        claimed.exhausted.extend(self.end(&unreadable, Reason::Unreadable).await.unwrap_or_default());
                    }
                    return Ok(exchanged);
                }
                Next::End { due, reason, kept, suspects_wait } => {
                    chosen = kept;
                    claimed.suspects_wait |= suspects_wait;
                    claimed.exhausted.extend(self.end(&due, reason).await?);
                }
            }
        }
        claimed.next_due = Some(Duration::ZERO);
        Ok(exchanged)
    }
}

impl Exchanging<'_> {
    /// Ends what cannot be attempted.
    async fn end(&self, due: &[Due], reason: Reason) -> Result<Vec<DeliveryId>, Fault> {
        if reason == Reason::Unreadable {
            for due in due {
                tracing::error!(event_id = %event_of(due.event), "an event cannot be read: the ledger is damaged");
            }
        }
        exhausted::end(self.database, self.destination, due, reason).await
    }

    /// Tells of what the settlements made due. A claim behind them saw it; where that left something, other receivers may have room.
    fn wake(&self, settling: &Settling<'_>, outcome: &Outcome, next: &Next) {
        let has_released = settling.has_released(outcome).then_some(self.destination);
        let woken: HashSet<&Arc<str>> = outcome.freed.iter().chain(has_released).collect();
        for destination in woken {
            match next {
                Next::Leased(leased) if destination == self.destination => {
                    if leased.claimed.next_due == Some(Duration::ZERO) {
                        self.database.notifier.tell(destination);
                    }
                }
                Next::End { .. } if destination == self.destination => {}
                _ => self.database.wake(destination),
            }
        }
    }
}
