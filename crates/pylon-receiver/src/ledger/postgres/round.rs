//! One transaction of an exchange.
//!
//! Without a claim it is one round trip: everything is sent at once. With a claim it is two: what is due comes back with the answers to
//! the settlements, and what to lease goes out with the commit.

use super::choose::{Choice, Due};
use super::claim::{self, Claiming, Leased};
use super::database::Database;
use super::error::Fault;
use super::exhausted::{self, Reason, is_damage};
use super::lease;
use super::lent::Lent;
use super::session::Use;
use super::settle::{self, Outcome, Settling};
use crate::ledger::Claim;
use crate::random::{Randomness, SystemRandomness};
use std::sync::Arc;

/// Begins a transaction whose commit waits for the server's own disk.
const BEGIN: &str = "BEGIN; SELECT keep_time()";

/// An exchange, without its settlements.
pub(super) struct Exchanging<'a> {
    pub(super) database: &'a Database,
    pub(super) destination: &'a Arc<str>,
    pub(super) claim: Option<&'a Claim>,
}

/// What came of a transaction.
pub(super) struct Round {
    /// What came of the settlements, if they were in it and are committed.
    pub(super) settled: Option<Outcome>,
    pub(super) next: Next,
}

/// What comes next.
pub(super) enum Next {
    /// Nothing: there is no claim.
    Nothing,
    /// Nothing: these are leased.
    Leased(Leased),
    /// These have to end; then the claim begins anew.
    End { due: Vec<Due>, reason: Reason, kept: Vec<Due>, suspects_wait: bool },
}

impl Exchanging<'_> {
    /// One transaction.
    pub(super) async fn round(
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
}
