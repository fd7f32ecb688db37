//! What the ledger with a spool and its tasks share.

use super::fate::is_of_the_event;
use super::gate::Gate;
use super::options::SpoolOptions;
use super::room::{HandedOver, Room};
use crate::ledger::sqlite::{Said, SpoolFile, Spooled};
use crate::ledger::{Bell, Ledger, LedgerError, Recorded, SpoolStatus, Wake};
use crate::text::show_duration;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::runtime::Handle;

pub(super) struct Shared {
    pub(super) spool: SpoolFile,
    pub(super) path: Arc<Path>,
    pub(super) gate: Gate,
    pub(super) room: Room,
    pub(super) options: SpoolOptions,
    pub(super) runtime: Handle,
    /// Rings for a ledger that came later.
    pub(super) bell: Bell,
    /// None before it was reached for the first time.
    ledger: OnceLock<Arc<dyn Ledger>>,
    is_closed: AtomicBool,
}

/// Which events are handed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Which {
    /// Those that wait.
    Waiting,
    /// Those that the ledger refused before.
    Refused,
}

impl Shared {
    pub(super) fn new(spool: SpoolFile, room: Room, options: SpoolOptions) -> Self {
        Self {
            path: spool.path().into(),
            spool,
            gate: Gate::new(),
            room,
            options,
            runtime: Handle::current(),
            bell: Bell::default(),
            ledger: OnceLock::new(),
            is_closed: AtomicBool::new(false),
        }
    }

    /// The ledger was reached for the first time.
    pub(super) fn reached(&self, ledger: Arc<dyn Ledger>) -> &Arc<dyn Ledger> {
        self.ledger.get_or_init(|| ledger)
    }

    /// Has those who listen already hear the ledger.
    pub(super) fn rings(&self, ledger: &Arc<dyn Ledger>) {
        let (mut wakes, bell) = (ledger.wakes(), self.bell.clone());
        self.runtime.spawn(async move {
            while let Some(wake) = wakes.next().await {
                match wake {
                    Wake::At(destination) => bell.ring(&destination),
                    Wake::Everywhere => bell.ring_everywhere(),
                }
            }
        });
        self.bell.ring_everywhere();
    }

    /// The ledger, once it was reached.
    pub(super) fn ledger(&self) -> Option<&Arc<dyn Ledger>> {
        self.ledger.get()
    }

    /// The ledger, for everything but new events.
    ///
    /// # Errors
    /// [`LedgerError::Unreachable`] before it was reached for the first time, [`LedgerError::Closed`].
    pub(super) fn beyond(&self) -> Result<&Arc<dyn Ledger>, LedgerError> {
        self.not_closed()?;
        self.ledger().ok_or_else(|| match self.gate.state().1 {
            Some(LedgerError::Unreachable(found)) => LedgerError::Unreachable(found),
            Some(error) => LedgerError::Unreachable(error.to_string().into()),
            None => LedgerError::Unreachable("it was not reached since the start".into()),
        })
    }

    /// The ledger, as long as new events go there.
    pub(super) fn direct(&self) -> Option<&Arc<dyn Ledger>> {
        self.ledger().filter(|_| !self.gate.is_spooling())
    }

    pub(super) fn not_closed(&self) -> Result<(), LedgerError> {
        if self.is_closed.load(Ordering::SeqCst) { Err(LedgerError::Closed) } else { Ok(()) }
    }

    /// Answers [`LedgerError::Closed`] from now on; says whether it did before.
    pub(super) fn is_closing(&self) -> bool {
        self.is_closed.swap(true, Ordering::SeqCst)
    }

    /// The ledger's answer, or that it did not come in time. The caller's runtime may be another one, without timers.
    pub(super) async fn in_time<T>(
        &self,
        within: Duration,
        answer: impl Future<Output = Result<T, LedgerError>>,
    ) -> Result<T, LedgerError> {
        let out_of_time = {
            let _runtime = self.runtime.enter();
            tokio::time::sleep(within)
        };
        tokio::select! {
            biased;
            answer = answer => answer,
            () = out_of_time => {
                let within = show_duration(within);
                Err(LedgerError::Unreachable(format!("expected an answer within {within}, found none").into()))
            }
        }
    }

    /// Hands events over, and forgets those that the ledger has.
    ///
    /// # Errors
    /// Those that would meet every event. What was not taken or refused by then stays.
    pub(super) async fn hand_over(
        &self,
        ledger: &Arc<dyn Ledger>,
        which: Which,
        batch: Vec<Spooled>,
        within: Duration,
    ) -> Result<(), LedgerError> {
        let events = batch.iter().map(|spooled| spooled.event.clone()).collect();
        let answers = self.in_time(within, ledger.hand_over(events)).await?;
        let owed = std::iter::repeat_with(|| Err(LedgerError::Unreachable("it owes an answer".into())));
        let (mut said, mut counts, mut stopped) = (Said::default(), HandedOver::default(), Ok(()));
        for (Spooled { seq, bytes, event }, answer) in batch.iter().zip(answers.into_iter().chain(owed)) {
            match answer {
                Ok(recorded) => {
                    tell(event.id, recorded);
                    said.taken.push(*seq);
                    counts.taken += 1;
                    counts.bytes += bytes;
                }
                Err(error) if is_of_the_event(&error) => {
                    said.not_taken.push((*seq, error.to_string().into()));
                    counts.refused += 1;
                }
                // None behind it is kept.
                Err(error) => {
                    stopped = Err(error);
                    break;
                }
            }
        }
        if said.taken.is_empty() && !said.not_taken.is_empty() {
            // Where it takes nothing at all, the fault may be its own.
            self.in_time(self.options.answer, ledger.check()).await?;
        }
        if which == Which::Waiting {
            for (seq, reason) in &said.not_taken {
                let event = batch.iter().find(|spooled| spooled.seq == *seq).map(|spooled| spooled.event.id);
                let event_id = event.map(tracing::field::display);
                tracing::error!(event_id, %reason, "the ledger refused a spooled event: it stays in the spool");
            }
        }
        self.spool.settle(said).await?;
        match which {
            Which::Waiting => self.room.handed_over(counts),
            Which::Refused => self.room.taken_after_all(counts),
        }
        stopped
    }

    pub(super) fn status(&self) -> SpoolStatus {
        let (since, last_error) = self.gate.state();
        SpoolStatus {
            path: self.path.clone(),
            since,
            events: self.room.waiting(),
            refused: self.room.refused(),
            bytes: self.room.bytes(),
            size: self.room.size(),
            is_full: self.room.is_full(),
            handed_over: self.room.total_handed_over(),
            last_error,
        }
    }
}

/// Tells of an event that was answered as accepted when it came, and is not kept.
fn tell(event_id: crate::id::EventId, recorded: Recorded) {
    match recorded {
        Recorded::Stored => {}
        Recorded::Duplicate(of) => tracing::debug!(%event_id, %of, "a spooled webhook was a duplicate"),
        Recorded::Looped(of) => tracing::debug!(%event_id, %of, "a spooled webhook goes in a circle"),
    }
}
