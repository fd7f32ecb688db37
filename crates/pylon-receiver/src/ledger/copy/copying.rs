//! Copies a ledger into another: puts everything there, verifies it, and only then lets it be used.

use super::fault::CopyFault;
use super::id::{CopyId, CopyPlace};
use super::rows::{EventCopy, KeyCopy, RefusedCopy};
use super::source::{CopySource, Held, Holding};
use super::summary::{CopyCounts, CopySummary};
use super::target::{CopyHead, CopyState, CopyTarget, Incoming, Put};
use crate::ledger::{LedgerError, LedgerFuture};
use sha2::{Digest, Sha256};
use std::fmt::{self, Write};

/// How many differences are told.
const MOST_TOLD: usize = 10;

/// A copy of one ledger into another.
pub struct Copying<'a> {
    /// The ledger that is copied.
    pub source: &'a dyn CopySource,
    /// The ledger that the copy goes into.
    pub target: &'a dyn CopyTarget,
    /// Whether the target may have events of its own.
    pub may_merge: bool,
}

/// What came of a copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopyOutcome {
    /// The ledger that was copied.
    pub source: CopyPlace,
    /// The ledger that has everything now.
    pub target: CopyPlace,
    /// Whether everything had been copied and was in use before.
    pub was_done: bool,
    /// What was copied, and verified.
    pub summary: CopySummary,
}

/// How far a copy is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CopyProgress {
    /// What is being done.
    pub step: CopyStep,
    /// How much of it is done.
    pub done: u64,
    /// How much there is to do.
    pub total: u64,
}

/// A step of a copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CopyStep {
    /// What an earlier copy of the source left in the target is taken out.
    Discard,
    /// Deduplication keys are copied.
    Keys,
    /// Events are copied.
    Events,
    /// Refused requests are copied.
    Refused,
    /// Both sides are compared.
    Verify,
    /// The deliveries are let go.
    Release,
}

impl CopyStep {
    /// What is done, in words.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Discard => "discard an earlier copy",
            Self::Keys => "deduplication keys",
            Self::Events => "events",
            Self::Refused => "refused requests",
            Self::Verify => "verify events",
            Self::Release => "release deliveries",
        }
    }
}

/// Hears how far a copy is.
pub(super) type Tell<'t> = &'t mut (dyn FnMut(CopyProgress) + Send);

impl Copying<'_> {
    /// Copies everything. Broken off at any place, it can be run again, and goes on.
    ///
    /// # Errors
    /// [`CopyFault`]. Until everything is there and verified, nothing of it is in use in the target, and the source can be served again.
    pub async fn run(&self, tell: Tell<'_>) -> Result<CopyOutcome, CopyFault> {
        let source = self.source.source_place().await.map_err(CopyFault::Source)?;
        let target = self.target.target_place().await.map_err(CopyFault::Target)?;
        if source.id == target.id {
            return Err(CopyFault::SameLedger);
        }
        let known = self.target.copies().await.map_err(CopyFault::Target)?;
        let held = match self.source.hold(target.clone()).await.map_err(CopyFault::Source)? {
            Holding::Held(held) => held,
            Holding::MovedElsewhere(to) => return Err(CopyFault::MovedElsewhere(to)),
        };
        let state = known.iter().find(|incoming| incoming.copy == held.copy).map(|incoming| incoming.state);
        let outcome = |was_done, summary| CopyOutcome { source: source.clone(), target, was_done, summary };
        if let Some(summary) = &held.moved {
            let summary: CopySummary = serde_json::from_str(summary).map_err(|error| {
                CopyFault::Source(LedgerError::Damaged(
                    format!("the summary of the move cannot be read: {error}").into(),
                ))
            })?;
            if state.is_none_or(|state| state == CopyState::UnderWay) {
                return Err(CopyFault::Lost);
            }
            let released = self.release(held.copy, &summary, tell).await?;
            return Ok(outcome(state == Some(CopyState::InUse) && released == 0, summary));
        }
        self.make_room(&source, &held, &known, tell).await?;
        let head = CopyHead { copy: held.copy, source: source.clone(), since_ago: held.since_ago, places: held.places };
        self.target.begin_copy(head).await.map_err(CopyFault::Target)?;
        let events_there_before = self.put(&held, tell).await?;
        let summary = CopySummary { events_there_before, ..self.verify(&held, tell).await? };
        let kept = serde_json::to_string(&summary).map_err(|error| {
            CopyFault::Source(LedgerError::Failed(format!("the summary cannot be written: {error}").into()))
        })?;
        // In this order: once the source is moved, nothing takes the copy out of the target.
        self.target.seal_copy(held.copy).await.map_err(CopyFault::Target)?;
        self.source.mark_moved(held.copy, kept.into()).await.map_err(CopyFault::Source)?;
        self.release(held.copy, &summary, tell).await?;
        Ok(outcome(false, summary))
    }

    /// Sees to it that the target has nothing that the copy could be mixed up with.
    async fn make_room(
        &self,
        source: &CopyPlace,
        held: &Held,
        known: &[Incoming],
        tell: Tell<'_>,
    ) -> Result<(), CopyFault> {
        if known.iter().any(|incoming| incoming.copy == held.copy) {
            return Ok(());
        }
        for Incoming { copy, source: of, state } in known {
            match state {
                CopyState::UnderWay if of.id == source.id => discard(self.target, *copy, tell).await?,
                CopyState::Sealed if of.id == source.id => return Err(CopyFault::Sealed),
                CopyState::InUse if of.id == source.id => return Err(CopyFault::InUse),
                CopyState::UnderWay | CopyState::Sealed => return Err(CopyFault::Unfinished(of.name.clone())),
                CopyState::InUse => {}
            }
        }
        let events = self.target.count_events().await.map_err(CopyFault::Target)?;
        if events > 0 && !self.may_merge { Err(CopyFault::NotEmpty(events)) } else { Ok(()) }
    }

    /// Puts everything into the target; says how many events were there before.
    async fn put(&self, held: &Held, tell: Tell<'_>) -> Result<u64, CopyFault> {
        let Self { source, target, .. } = self;
        let Held { copy, totals, .. } = *held;
        // First, so that a target that is served meanwhile takes no duplicate for new.
        let mut done = Done { step: CopyStep::Keys, done: 0, total: totals.keys, tell };
        let mut page = first(source.key_page(None)).await?;
        while let Some(last) = page.last().map(|key| key.name.clone()) {
            let (answers, next) = both(target.put_keys(copy, page), source.key_page(Some(last))).await?;
            done.add(answers.len());
            page = next;
        }

        let mut done = Done { step: CopyStep::Events, done: 0, total: totals.events, tell: done.tell };
        let (mut there, mut differing) = (0, Told::default());
        let mut page = first(source.event_page(None)).await?;
        while let Some(last) = page.last().map(|event| event.id) {
            let ids: Vec<_> = page.iter().map(|event| event.id).collect();
            let (answers, next) = both(target.put_events(copy, page), source.event_page(Some(last))).await?;
            for (id, put) in ids.iter().zip(&answers) {
                there += u64::from(*put == Put::There);
                if *put == Put::Differs {
                    differing.add(|| id.to_string());
                }
            }
            done.add(answers.len());
            page = next;
        }
        if differing.count > 0 {
            return Err(CopyFault::Differs { count: differing.count, first: differing.first });
        }

        let mut done = Done { step: CopyStep::Refused, done: 0, total: totals.refused, tell: done.tell };
        let mut page = first(source.refused_page(None)).await?;
        while let Some(last) = page.last().map(|refused| refused.number) {
            let (answers, next) = both(target.put_refused(copy, page), source.refused_page(Some(last))).await?;
            done.add(answers.len());
            page = next;
        }
        Ok(there)
    }

    /// Reads everything from both sides again and compares it.
    async fn verify(&self, held: &Held, tell: Tell<'_>) -> Result<CopySummary, CopyFault> {
        let Self { source, target, .. } = self;
        let Held { copy, totals, .. } = *held;
        let mut compared = Compared::default();
        let mut page = first(source.key_page(None)).await?;
        while let Some(last) = page.last().map(|key| key.name.clone()) {
            let names = page.iter().map(|key| key.name.clone()).collect();
            let (found, next) = both(target.found_keys(copy, names), source.key_page(Some(last))).await?;
            page.iter().zip(each(&found)).for_each(|(ours, found)| compared.keys(ours, found));
            page = next;
        }

        let mut done = Done { step: CopyStep::Verify, done: 0, total: totals.events, tell };
        let mut page = first(source.event_page(None)).await?;
        while let Some(last) = page.last().map(|event| event.id) {
            let ids = page.iter().map(|event| event.id).collect();
            let (found, next) = both(target.found_events(copy, ids), source.event_page(Some(last))).await?;
            page.iter().zip(each(&found)).for_each(|(ours, found)| compared.events(ours, found));
            done.add(page.len());
            page = next;
        }

        let mut page = first(source.refused_page(None)).await?;
        while let Some(last) = page.last().map(|refused| refused.number) {
            let numbers = page.iter().map(|refused| refused.number).collect();
            let (found, next) = both(target.found_refused(copy, numbers), source.refused_page(Some(last))).await?;
            page.iter().zip(each(&found)).for_each(|(ours, found)| compared.refused(ours, found));
            page = next;
        }
        compared.summary(copy)
    }

    /// Lets all deliveries of a sealed copy go; says how many had not gone.
    async fn release(&self, copy: CopyId, summary: &CopySummary, tell: Tell<'_>) -> Result<u64, CopyFault> {
        // Where events have to be let go too, they are counted with their deliveries.
        let total = summary.counts.deliveries.unfinished() + summary.counts.events;
        let mut done = Done { step: CopyStep::Release, done: 0, total, tell };
        loop {
            match self.target.release_copy(copy).await.map_err(CopyFault::Target)? {
                0 => break,
                released => done.add(usize::try_from(released).unwrap_or(usize::MAX)),
            }
        }
        let released = done.done;
        if released > 0 {
            done.add(usize::try_from(total.saturating_sub(released)).unwrap_or(usize::MAX));
        }
        Ok(released)
    }
}

/// Takes an unreleased copy out of the target.
pub(super) async fn discard(target: &dyn CopyTarget, copy: CopyId, tell: Tell<'_>) -> Result<(), CopyFault> {
    let total = target.count_events().await.map_err(CopyFault::Target)?;
    let mut done = Done { step: CopyStep::Discard, done: 0, total, tell };
    loop {
        match target.discard_copy(copy).await.map_err(CopyFault::Target)? {
            0 => return Ok(()),
            discarded => done.add(usize::try_from(discarded).unwrap_or(usize::MAX)),
        }
    }
}

/// The first page of the source.
async fn first<T>(page: LedgerFuture<'_, Vec<T>>) -> Result<Vec<T>, CopyFault> {
    page.await.map_err(CopyFault::Source)
}

/// What the target answers, and the next page of the source, which is read meanwhile.
async fn both<A, B>(target: LedgerFuture<'_, A>, source: LedgerFuture<'_, B>) -> Result<(A, B), CopyFault> {
    let (answer, page) = tokio::join!(target, source);
    Ok((answer.map_err(CopyFault::Target)?, page.map_err(CopyFault::Source)?))
}

/// What was found, one by one; where an answer is missing, nothing was.
fn each<T>(found: &[Option<T>]) -> impl Iterator<Item = Option<&T>> {
    found.iter().map(Option::as_ref).chain(std::iter::repeat(None))
}

/// How much of a step is done, and who hears of it.
struct Done<'t> {
    step: CopyStep,
    done: u64,
    total: u64,
    tell: Tell<'t>,
}

impl Done<'_> {
    fn add(&mut self, more: usize) {
        self.done += more as u64;
        (self.tell)(CopyProgress { step: self.step, done: self.done, total: self.total.max(self.done) });
    }
}

/// The first of many sentences, and how many there are.
#[derive(Default)]
struct Told {
    count: u64,
    first: Vec<String>,
}

impl Told {
    fn add(&mut self, sentence: impl FnOnce() -> String) {
        self.count += 1;
        if self.first.len() < MOST_TOLD {
            self.first.push(sentence());
        }
    }
}

/// Both sides, as they were read.
#[derive(Default)]
struct Compared {
    ours: CopyCounts,
    theirs: CopyCounts,
    our_hash: Sha256,
    their_hash: Sha256,
    differences: Told,
    keys_taken: u64,
    refused_gone: u64,
}

impl Compared {
    fn keys(&mut self, ours: &KeyCopy, found: Option<&KeyCopy>) {
        if found.is_some_and(|found| found.event != ours.event) {
            self.keys_taken += 1;
            return;
        }
        self.ours.deduplication_keys += 1;
        ours.hash_into(&mut self.our_hash);
        if let Some(found) = found {
            self.theirs.deduplication_keys += 1;
            found.hash_into(&mut self.their_hash);
        }
        if found != Some(ours) {
            let told = if found.is_some() { "another expiry" } else { "none" };
            self.differences.add(|| format!("the deduplication key of event {}: found {told}", ours.event));
        }
    }

    fn events(&mut self, ours: &EventCopy, found: Option<&EventCopy>) {
        self.ours.add(ours);
        ours.hash_into(&mut self.our_hash);
        let difference = match found {
            Some(found) => {
                self.theirs.add(found);
                found.hash_into(&mut self.their_hash);
                ours.difference(found)
            }
            None => Some("found none".to_owned()),
        };
        if let Some(difference) = difference {
            self.differences.add(|| format!("event {}: {difference}", ours.id));
        }
    }

    fn refused(&mut self, ours: &RefusedCopy, found: Option<&RefusedCopy>) {
        // In a target that is served, one may have given way to a newer one.
        let Some(found) = found else {
            self.refused_gone += 1;
            return;
        };
        self.ours.refused += 1;
        self.theirs.refused += 1;
        ours.hash_into(&mut self.our_hash);
        found.hash_into(&mut self.their_hash);
        if found != ours {
            self.differences.add(|| format!("refused request {}: found another", ours.number));
        }
    }

    /// What both sides have; or what differs.
    fn summary(self, copy: CopyId) -> Result<CopySummary, CopyFault> {
        let Self { ours: counts, theirs, our_hash, their_hash, mut differences, keys_taken, refused_gone } = self;
        let (sha256, theirs_sha256) = (digits(our_hash), digits(their_hash));
        if counts != theirs {
            differences.add(|| format!("expected {counts:?}, found {theirs:?}"));
        }
        if sha256 != theirs_sha256 {
            differences.add(|| format!("expected the SHA-256 {sha256}, found {theirs_sha256}"));
        }
        match differences.count {
            0 => Ok(CopySummary { copy, counts, sha256, events_there_before: 0, keys_taken, refused_gone }),
            count => Err(CopyFault::Unequal { count, first: differences.first }),
        }
    }
}

fn digits(hash: Sha256) -> String {
    hash.finalize().iter().fold(String::with_capacity(64), |mut digits, byte| {
        // Writing to a `String` never fails.
        let _ = write!(digits, "{byte:02x}");
        digits
    })
}

impl fmt::Debug for Copying<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Copying").field("may_merge", &self.may_merge).finish_non_exhaustive()
    }
}
