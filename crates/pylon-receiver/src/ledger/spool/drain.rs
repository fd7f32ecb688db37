//! Hands over what is in the spool, in the order in which it came.

use super::connect::Connect;
use super::gate::{Shut, Told};
use super::shared::{Shared, Which};
use crate::ledger::{Ledger, LedgerError};
use futures_util::FutureExt;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, MissedTickBehavior, sleep, timeout_at};

/// How long one try to connect may take. The ledger has time-outs of its own; this is for one that lacks them.
const CONNECT: Duration = Duration::from_secs(60);
/// How much longer than for one event the ledger may take for those that go together. What it has done by then is done.
const LONGER: u32 = 2;
/// Events that are handed over together at most.
const MOST: usize = 256;
/// With so many left, or fewer, the gate is shut for the rest.
const FEW: u64 = 256;
/// How long the gate is shut at a time, unless the ledger needs longer or everything is handed over before.
const SHUT: Duration = Duration::from_millis(500);

/// Hands over what is there, whenever something is.
pub(super) async fn run(shared: Arc<Shared>, connect: Arc<dyn Connect>) {
    loop {
        shared.gate.spooling().await;
        let (mut pause, mut together) = (shared.options.first_pause, MOST);
        while shared.gate.is_spooling() {
            let began = Instant::now();
            // Whatever breaks off, the next try comes.
            let step = AssertUnwindSafe(step(&shared, &*connect, together)).catch_unwind().await;
            match step.unwrap_or_else(|_| Err(LedgerError::Unreachable("a task of it broke off".into()))) {
                Ok(()) => {
                    pause = shared.options.first_pause;
                    together = (together * 2).min(MOST);
                }
                Err(error) => {
                    tracing::debug!(%error, "the ledger takes no spooled events; trying again");
                    shared.gate.failed(error);
                    if began.elapsed() >= shared.options.answer.min(SHUT) {
                        // Where the time did not suffice for so many, it may for fewer.
                        together = (together / 2).max(1);
                    }
                    sleep(pause).await;
                    pause = (pause * 2).min(shared.options.longest_pause);
                }
            }
        }
    }
}

/// Hands over some events, so many together. When few are left, or as many come in as go out, hands over the rest with the gate shut.
async fn step(shared: &Shared, connect: &dyn Connect, together: usize) -> Result<(), LedgerError> {
    let ledger = reach(shared, connect).await?;
    let (began, before) = (Instant::now(), shared.room.waiting());
    let batch = shared.spool.oldest(together).await?;
    let count = batch.len() as u64;
    match count {
        0 => shared.in_time(shared.options.answer, ledger.check()).await?,
        _ => shared.hand_over(&ledger, Which::Waiting, batch, shared.options.answer * LONGER).await?,
    }
    shared.gate.worked();
    let left = shared.room.waiting();
    let is_gaining = left + count / 2 <= before;
    if left > FEW && is_gaining {
        return Ok(());
    }
    // Not before it has answered, and not for longer than it needs: whoever sends events waits meanwhile.
    finish(shared, &ledger, together, (began.elapsed() * 4).clamp(SHUT, shared.options.answer.max(SHUT))).await
}

/// Hands over what is left with the gate shut; when nothing is left, events go directly.
///
/// Those who wait at the gate are let in now and then, each with one event. So fewer come in than go out, however many are sent.
async fn finish(
    shared: &Shared,
    ledger: &Arc<dyn Ledger>,
    together: usize,
    within: Duration,
) -> Result<(), LedgerError> {
    loop {
        let deadline = Instant::now() + within;
        let Ok(shut) = timeout_at(deadline, shared.gate.shut()).await else { return Ok(()) };
        loop {
            let batch = shared.spool.oldest(together).await?;
            if batch.is_empty() {
                end(shared, shut);
                return Ok(());
            }
            if Instant::now() >= deadline {
                break;
            }
            shared.hand_over(ledger, Which::Waiting, batch, within).await?;
        }
    }
}

/// From now on events go directly.
fn end(shared: &Shared, shut: Shut<'_>) {
    let (since, told) = shared.gate.end(shut);
    if told == Told::Yes {
        let (since, path) = (since.map(tracing::field::display), shared.path.display());
        let in_all = shared.room.total_handed_over();
        tracing::info!(since, in_all, %path, "the spool is empty: events go to the ledger again");
    }
}

/// The ledger, once it can be reached.
async fn reach(shared: &Shared, connect: &dyn Connect) -> Result<Arc<dyn Ledger>, LedgerError> {
    if let Some(ledger) = shared.ledger() {
        return Ok(ledger.clone());
    }
    let ledger = shared.in_time(CONNECT, connect.connect()).await?;
    tracing::info!("the ledger is reached for the first time since the start");
    let ledger = shared.reached(ledger).clone();
    shared.rings(&ledger);
    Ok(ledger)
}

/// Tells regularly what waits, and hands over again what the ledger refused.
pub(super) async fn remind(shared: Arc<Shared>) {
    let mut ticks = tokio::time::interval(shared.options.reminder.max(Duration::from_millis(1)));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks.tick().await;
    let mut behind = 0;
    loop {
        ticks.tick().await;
        if shared.gate.is_spooling() {
            shared.gate.told();
            shared.status().sentences().iter().for_each(|sentence| tracing::warn!("{sentence}"));
        } else if let Some(ledger) = shared.direct()
            && shared.room.refused() > 0
        {
            behind = again(&shared, ledger, behind).await;
        }
    }
}

/// Hands over some of the refused events, those behind this `seq`; says behind which to go on.
async fn again(shared: &Shared, ledger: &Arc<dyn Ledger>, behind: i64) -> i64 {
    let Ok(batch) = shared.spool.refused(behind, MOST).await else { return behind };
    let Some(last) = batch.last().map(|spooled| spooled.seq) else { return 0 };
    match shared.hand_over(ledger, Which::Refused, batch, shared.options.answer * LONGER).await {
        Ok(()) => last,
        Err(error) => {
            tracing::debug!(%error, "refused events could not be handed over again");
            behind
        }
    }
}
