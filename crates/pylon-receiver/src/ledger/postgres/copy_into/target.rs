//! The methods of a ledger that takes a copy, each handed to its job.

use super::super::ledger::PostgresLedger;
use super::super::transaction::{Job, transact};
use super::begun::{self, Begin, Seal};
use super::events::{FindEvents, PutEvents};
use super::keys::{FindKeys, PutKeys};
use super::refused::{FindRefused, PutRefused};
use super::{discard, release};
use crate::id::EventId;
use crate::ledger::LedgerFuture;
use crate::ledger::copy::{
    CopyHead, CopyId, CopyPlace, CopyTarget, EventCopy, Incoming, KeyCopy, KeyName, LedgerId, Put, PutKey, RefusedCopy,
};

impl PostgresLedger {
    /// Does a job of a copy.
    fn copying<J: Job + Send + 'static>(&self, job: J) -> LedgerFuture<'_, J::Answer>
    where
        J::Answer: 'static,
    {
        Box::pin(self.database.run(move |database| async move { transact(&database, job).await }))
    }
}

impl CopyTarget for PostgresLedger {
    fn target_place(&self) -> LedgerFuture<'_, CopyPlace> {
        let id = LedgerId::from_bytes(*self.database.id.as_bytes());
        let name = self.database.name.clone();
        Box::pin(async move { Ok(CopyPlace { id, name }) })
    }

    fn copies(&self) -> LedgerFuture<'_, Vec<Incoming>> {
        self.copying(begun::Known)
    }

    fn count_events(&self) -> LedgerFuture<'_, u64> {
        self.copying(begun::CountEvents)
    }

    fn begin_copy(&self, head: CopyHead) -> LedgerFuture<'_, ()> {
        self.copying(Begin { ledger: self.database.id, head })
    }

    fn put_keys(&self, copy: CopyId, keys: Vec<KeyCopy>) -> LedgerFuture<'_, Vec<PutKey>> {
        self.copying(PutKeys { copy, keys })
    }

    fn put_events(&self, copy: CopyId, events: Vec<EventCopy>) -> LedgerFuture<'_, Vec<Put>> {
        self.copying(PutEvents { ledger: self.database.id, copy, events })
    }

    fn put_refused(&self, copy: CopyId, refused: Vec<RefusedCopy>) -> LedgerFuture<'_, Vec<Put>> {
        self.copying(PutRefused { copy, refused })
    }

    fn found_keys(&self, copy: CopyId, names: Vec<KeyName>) -> LedgerFuture<'_, Vec<Option<KeyCopy>>> {
        self.copying(FindKeys { copy, names })
    }

    fn found_events(&self, copy: CopyId, ids: Vec<EventId>) -> LedgerFuture<'_, Vec<Option<EventCopy>>> {
        self.copying(FindEvents { copy, ids })
    }

    fn found_refused(&self, copy: CopyId, numbers: Vec<u64>) -> LedgerFuture<'_, Vec<Option<RefusedCopy>>> {
        self.copying(FindRefused { copy, numbers })
    }

    fn seal_copy(&self, copy: CopyId) -> LedgerFuture<'_, ()> {
        self.copying(Seal(copy))
    }

    fn release_copy(&self, copy: CopyId) -> LedgerFuture<'_, u64> {
        Box::pin(self.database.run(move |database| release::run(database, copy)))
    }

    fn discard_copy(&self, copy: CopyId) -> LedgerFuture<'_, u64> {
        Box::pin(self.database.run(move |database| discard::run(database, copy)))
    }
}
