//! The way of a new event: to the ledger, or into the spool.

use super::fate::is_away;
use super::gate::Told;
use super::shared::Shared;
use crate::ledger::sqlite::{Kept, bytes_of};
use crate::ledger::{LedgerError, NewEvent, Recorded};
use std::sync::Arc;

impl Shared {
    /// Keeps an event in the ledger, or in the spool.
    pub(super) async fn record(self: &Arc<Self>, event: NewEvent) -> Result<Recorded, LedgerError> {
        self.not_closed()?;
        let away = match self.record_directly(&event).await {
            Some(Err(error)) if is_away(&error) => Some(error),
            Some(answer) => return answer,
            None => None,
        };
        // A task of its own: half of this way is none.
        let shared = self.clone();
        let spooling = self.runtime.spawn(async move { shared.record_behind(event, away).await });
        spooling.await.unwrap_or(Err(LedgerError::Closed))
    }

    /// The ledger's answer; none: new events do not go there.
    ///
    /// What the ledger did with an event that it does not answer in time is unknown. Handed over, the event is known by its id.
    async fn record_directly(&self, event: &NewEvent) -> Option<Result<Recorded, LedgerError>> {
        let ledger = self.direct()?;
        Some(self.in_time(self.options.answer, ledger.record(event.clone())).await)
    }

    /// Keeps an event behind those in the spool; or directly, if everything was handed over meanwhile.
    async fn record_behind(&self, event: NewEvent, mut away: Option<LedgerError>) -> Result<Recorded, LedgerError> {
        loop {
            let open = self.gate.open().await;
            self.not_closed()?;
            if let Some(error) = away.take()
                && self.gate.begin(&open, self.options.clock.now(), Some(error.clone())) == Told::Yes
            {
                tracing::error!(%error, path = %self.path.display(), "the ledger is away: events go to the spool, on one disk");
            }
            if self.gate.is_spooling() {
                self.gate.admits()?;
                // The gate is open as long as this takes.
                return self.keep(event).await;
            }
            drop(open);
            match self.record_directly(&event).await {
                Some(Err(error)) if is_away(&error) => away = Some(error),
                Some(answer) => return answer,
                None => {}
            }
        }
    }

    async fn keep(&self, event: NewEvent) -> Result<Recorded, LedgerError> {
        let room = self.room.reserve(bytes_of(&event))?;
        let Kept { answer, is_new } = self.spool.keep(event).await?;
        if is_new {
            room.used();
        }
        Ok(answer)
    }
}
