//! Settles and claims for one destination, in one transaction.
//!
//! Without a claim that is one round trip: everything is sent at once. With a claim it is two: what is due comes back with the answers to
//! the settlements, and what to lease goes out with the commit. A delivery that cannot be attempted ends in a transaction of its own,
//! which takes its locks in the order in which all take them; then the claim begins anew.

use super::choose::{Choice, Due};
use super::claim::{self, Claiming, Leased};
use super::database::Database;
use super::error::Fault;
use super::exhausted::{self, Reason, is_damage};
use super::lease;
use super::lent::Lent;
use super::row::event_of;
use super::session::Use;
use super::settle::{self, Outcome, Settling};
use super::tries::tried_within;
use crate::id::DeliveryId;
use crate::ledger::{Claim, Exchange, Exchanged};
use crate::random::{Randomness, SystemRandomness};
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

/// Begins a transaction whose commit waits for the server's own disk.
const BEGIN: &str = "BEGIN; SELECT keep_time()";
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

struct Exchanging<'a> {
    database: &'a Database,
    destination: &'a Arc<str>,
    claim: Option<&'a Claim>,
}

/// What came of a transaction.
struct Round {
    /// What came of the settlements, if they were in it and are committed.
    settled: Option<Outcome>,
    next: Next,
}

/// What comes next.
enum Next {
    /// Nothing: there is no claim.
    Nothing,
    /// Nothing: these are leased.
    Leased(Leased),
    /// These have to end; then the claim begins anew.
    End { due: Vec<Due>, reason: Reason, kept: Vec<Due>, suspects_wait: bool },
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
    /// One transaction.
    async fn round(
        &self,
        settling: Option<&Settling<'_>>,
        kept: &[Due],
        most_exhausted: usize,
    ) -> Result<Round, Fault> {
        let transaction = Lent::new(self.database.connection(Use::Deliver).await?);
        let Some(claim) = self.claim else {
            let settled = self.settle(transaction, settling).await?;
            return Ok(Round { settled, next: Next::Nothing });
        };
        let mut random = [0; 8];
        SystemRandomness.fill(&mut random);
        let claiming = Claiming {
            destination: self.destination,
            claim,
            token: i64::from_le_bytes(random),
            lost: &self.database.lost.claims(self.destination),
            kept,
            most_exhausted,
        };
        let unheard = self.database.lost.unless_heard(self.destination, claiming.token, claim.lease);
        let result = self.settle_and_claim(transaction, settling, &claiming).await;
        if matches!(result, Ok(_) | Err(Fault::Again(_))) {
            unheard.heard();
        }
        result
    }

    async fn settle(&self, transaction: Lent, settling: Option<&Settling<'_>>) -> Result<Option<Outcome>, Fault> {
        let Some(settling) = settling else { return Ok(None) };
        let statements = settle::Statements::prepare(&transaction).await?;
        let (begun, outcome, committed) = tokio::join!(
            biased;
            transaction.batch_execute(BEGIN),
            settling.run(&transaction, &statements),
            transaction.batch_execute("COMMIT"),
        );
        // The first error is the cause of those behind it. The commit of a transaction that failed is a rollback, and no error.
        begun?;
        let outcome = outcome?;
        committed?;
        transaction.done();
        Ok(Some(outcome))
    }

    async fn settle_and_claim(
        &self,
        transaction: Lent,
        settling: Option<&Settling<'_>>,
        claiming: &Claiming<'_>,
    ) -> Result<Round, Fault> {
        let settle_statements = match settling {
            Some(_) => Some(settle::Statements::prepare(&transaction).await?),
            None => None,
        };
        let statements = claim::Statements::prepare(&transaction, claiming.claim).await?;
        let settle = async {
            match (settling, &settle_statements) {
                (Some(settling), Some(statements)) => settling.run(&transaction, statements).await.map(Some),
                _ => Ok(None),
            }
        };
        let (begun, settled, locked) = tokio::join!(
            biased;
            transaction.batch_execute(if settling.is_some() { BEGIN } else { lease::BEGIN }),
            settle,
            claiming.look(&transaction, &statements),
        );
        // The first error is the cause of those behind it.
        begun?;
        let (settled, mut locked) = (settled?, locked?);
        let choice = claiming.choose(&mut locked, &transaction, &statements).await?;
        let next = if choice.exhausted.is_empty() {
            match claiming.lease(&choice, &locked, &transaction, &statements).await {
                Ok(leased) => Next::Leased(leased),
                Err(error) if is_damage(&error) => {
                    // Nothing of this transaction is committed.
                    drop(transaction);
                    let due = exhausted::unreadable(self.database, choice.leased).await?;
                    if due.is_empty() {
                        return Err(error.into());
                    }
                    let next = Next::End { due, reason: Reason::Unreadable, kept: Vec::new(), suspects_wait: false };
                    return Ok(Round { settled: None, next });
                }
                Err(error) => return Err(error.into()),
            }
        } else {
            transaction.batch_execute("COMMIT").await?;
            let Choice { leased, exhausted, suspects_wait, .. } = choice;
            Next::End { due: exhausted, reason: Reason::GaveUp, kept: leased, suspects_wait }
        };
        transaction.done();
        self.database.lost.given_back(self.destination, &locked.given_back);
        Ok(Round { settled, next })
    }

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
