//! Keeps events that waited in a spool, in their order, as many in one commit as can share it.

use super::database::Database;
use super::error::Fault;
use super::record::Taken;
use super::sharing::sharing;
use super::writer::{attempt, refusal};
use crate::ledger::{LedgerError, NewEvent, Recorded};
use std::sync::Arc;
use tokio::time::Instant;

/// Says for each event what became of it. An event that is at fault itself stops none behind it.
pub(super) async fn run(database: Arc<Database>, events: Vec<NewEvent>) -> Vec<Result<Recorded, LedgerError>> {
    let mut answers = Vec::with_capacity(events.len());
    let (mut alone, mut most) = (0, usize::MAX);
    while answers.len() < events.len() {
        let rest = &events[answers.len()..];
        let batch: Vec<&NewEvent> = rest[..if alone > 0 { 1 } else { sharing(rest).min(most) }].iter().collect();
        alone = usize::saturating_sub(alone, 1);
        let until = Instant::now() + database.options.answer_within;
        match attempt(&database, &batch, Taken::WaitedFor, until).await {
            Ok(kept) => {
                // They may have been handed over before, in vain as far as is known.
                kept.due.iter().chain(&kept.found).for_each(|destination| database.wake(destination));
                answers.extend(kept.answers.into_iter().flatten().map(Ok));
            }
            // One of them is at fault: each alone.
            Err(Fault::Bad(_)) if batch.len() > 1 => alone = batch.len(),
            Err(fault @ Fault::Bad(_)) => answers.push(Err(refusal(fault))),
            Err(Fault::TooMuch(_)) if batch.len() > 1 => most = batch.len() / 2,
            Err(fault) => {
                let error = refusal(fault);
                answers.resize(events.len(), Err(error));
            }
        }
    }
    answers
}
