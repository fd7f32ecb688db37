//! Copies that have begun: which ones, how far they are, where their places begin.

use super::super::changes::Changes;
use super::super::copied::Origin;
use super::super::error::Fault;
use super::super::line::{line, lock};
use super::super::row::milliseconds;
use super::super::session::Use;
use super::super::transaction::Job;
use crate::ledger::copy::{CopyHead, CopyId, CopyPlace, CopyState, Incoming, LedgerId};
use deadpool_postgres::Transaction;
use std::collections::BTreeSet;
use std::time::Duration;
use uuid::Uuid;

/// How long one commit of a copy may take.
pub(super) const WITHIN: Duration = Duration::from_secs(300);

/// How far a copy is, as the table has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    /// Not everything is there.
    UnderWay,
    /// Everything is there.
    Sealed,
    /// Some of it has been let go.
    BeingReleased,
    /// All of it has.
    InUse,
}

impl Stage {
    /// The number of the stage, which an index names.
    pub(super) const fn number(self) -> i16 {
        match self {
            Self::UnderWay => 0,
            Self::Sealed => 1,
            Self::BeingReleased => 2,
            Self::InUse => 3,
        }
    }

    fn of(number: i16) -> Result<Self, Fault> {
        let all = [Self::UnderWay, Self::Sealed, Self::BeingReleased, Self::InUse];
        let stage = all.into_iter().find(|stage| stage.number() == number);
        stage.ok_or_else(|| Fault::Other(format!("expected the number of a copy's stage, found {number}").into()))
    }
}

/// A copy that has begun.
pub(super) struct Begun {
    pub(super) stage: Stage,
    pub(super) origin: Origin,
}

/// How a copy is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hold {
    /// It stays as it is until the end of the transaction.
    Shared,
    /// The transaction changes how far it is, or takes from what it has put.
    Alone,
}

impl Begun {
    /// The copy; its tables are not read in an order that would be slow, however little is known of them.
    pub(super) async fn find(transaction: &Transaction<'_>, copy: CopyId, hold: Hold) -> Result<Option<Self>, Fault> {
        // Filled a moment ago, a table is still thought to be small.
        transaction.batch_execute("SET LOCAL enable_seqscan = off").await?;
        let find = match hold {
            Hold::Shared => "SELECT state, since, deliveries_before FROM copies WHERE copy = $1 FOR SHARE",
            Hold::Alone => "SELECT state, since, deliveries_before FROM copies WHERE copy = $1 FOR UPDATE",
        };
        let find = transaction.prepare_cached(find).await?;
        let Some(row) = transaction.query_opt(&find, &[&uuid(copy)]).await? else { return Ok(None) };
        let origin = Origin { since: row.try_get(1)?, deliveries_before: row.try_get(2)? };
        Ok(Some(Self { stage: Stage::of(row.try_get(0)?)?, origin }))
    }

    /// A copy into which more may be put: also one that is sealed, which puts everything once more where the other ledger did not hear of
    /// that.
    pub(super) async fn to_put(transaction: &Transaction<'_>, copy: CopyId) -> Result<Self, Fault> {
        match Self::find(transaction, copy, Hold::Shared).await? {
            Some(begun) if begun.stage <= Stage::Sealed => Ok(begun),
            Some(_) => Err(not_as_expected("not in use", "one that is")),
            None => Err(not_as_expected("not in use", "none")),
        }
    }
}

/// Where a copy is not what the next step needs: another program has it in hand.
pub(super) fn not_as_expected(expected: &str, found: &str) -> Fault {
    Fault::Other(
        format!("expected a copy that is {expected}, found {found}; is another `migrate-ledger` running?").into(),
    )
}

/// The copy as PostgreSQL has it.
pub(super) fn uuid(copy: CopyId) -> Uuid {
    Uuid::from_bytes(*copy.as_bytes())
}

/// Finds the copies.
pub(super) struct Known;

impl Job for Known {
    type Answer = Vec<Incoming>;
    const ON: Use = Use::Chores;

    async fn run(&self, transaction: &Transaction<'_>, _: &mut Changes) -> Result<Vec<Incoming>, Fault> {
        let find = "SELECT copy, source, source_name, state FROM copies ORDER BY number";
        let find = transaction.prepare_cached(find).await?;
        let mut known = Vec::new();
        for row in transaction.query(&find, &[]).await? {
            let (copy, source): (Uuid, Uuid) = (row.try_get(0)?, row.try_get(1)?);
            let id = LedgerId::from_bytes(*source.as_bytes());
            known.push(Incoming {
                copy: CopyId::from_bytes(*copy.as_bytes()),
                source: CopyPlace { id, name: row.try_get::<_, &str>(2)?.into() },
                state: match Stage::of(row.try_get(3)?)? {
                    Stage::UnderWay => CopyState::UnderWay,
                    Stage::Sealed => CopyState::Sealed,
                    Stage::BeingReleased | Stage::InUse => CopyState::InUse,
                },
            });
        }
        Ok(known)
    }
}

/// Counts the events, those of a copy included.
pub(super) struct CountEvents;

impl Job for CountEvents {
    type Answer = u64;
    const WITHIN: Duration = WITHIN;
    const ON: Use = Use::Chores;

    async fn run(&self, transaction: &Transaction<'_>, _: &mut Changes) -> Result<u64, Fault> {
        let count = "
            SELECT (SELECT coalesce(sum(events), 0)::bigint FROM tallies WHERE destination = '') + (SELECT count(*) FROM copied_events)";
        let count = transaction.prepare_cached(count).await?;
        let number: i64 = transaction.query_one(&count, &[]).await?.try_get(0)?;
        Ok(number.max(0).cast_unsigned())
    }
}

/// Begins a copy.
pub(super) struct Begin {
    pub(super) ledger: Uuid,
    pub(super) head: CopyHead,
}

impl Job for Begin {
    type Answer = ();
    const ON: Use = Use::Chores;

    async fn run(&self, transaction: &Transaction<'_>, _: &mut Changes) -> Result<(), Fault> {
        let Self { ledger, head } = self;
        // Of several programs one at a time. No destination has this name, so no line has this number.
        lock(transaction, &BTreeSet::from([line(*ledger, "\0copy", "")])).await?;
        if Begun::find(transaction, head.copy, Hold::Shared).await?.is_some() {
            return Ok(());
        }
        let other = transaction.prepare_cached("SELECT source_name FROM copies WHERE state < 3").await?;
        if let Some(other) = transaction.query_opt(&other, &[]).await? {
            let from: &str = other.try_get(0)?;
            return Err(Fault::Other(
                format!(
                    "expected no other copy under way, found one from {from} that has not ended; run `pylon-receiver migrate-ledger` \
                     again with that ledger first"
                )
                .into(),
            ));
        }
        let deliveries_before = reserve(transaction, head.places).await?;
        let begin = "
            INSERT INTO copies (copy, source, source_name, state, since, deliveries_before)
            SELECT $1, $2, $3, 0, tick() - $4, $5";
        let begin = transaction.prepare_cached(begin).await?;
        let source = Uuid::from_bytes(*head.source.id.as_bytes());
        let since_ago = milliseconds(head.since_ago);
        transaction
            .execute(&begin, &[&uuid(head.copy), &source, &&*head.source.name, &since_ago, &deliveries_before])
            .await?;
        Ok(())
    }
}

/// Moves the sequence of deliveries on by so many places; says the number before the first one.
async fn reserve(transaction: &Transaction<'_>, places: u64) -> Result<i64, Fault> {
    let too_many = || Fault::Other(format!("expected fewer places in the order of deliveries, found {places}").into());
    let places = i64::try_from(places).map_err(|_| too_many())?;
    // This changes nothing, but whoever draws a number waits until the end of this transaction: none is drawn twice. Drawing them all
    // would take minutes where a ledger has delivered for years.
    transaction.batch_execute("ALTER SEQUENCE deliveries_seq NO CYCLE").await?;
    let last: i64 = transaction
        .query_one("SELECT CASE WHEN is_called THEN last_value ELSE last_value - 1 END FROM deliveries_seq", &[])
        .await?
        .try_get(0)?;
    if places > 0 {
        let next = last.checked_add(places).ok_or_else(too_many)?;
        transaction.query_one("SELECT setval('deliveries_seq', $1)", &[&next]).await?;
    }
    Ok(last)
}

/// Writes down that everything is there.
pub(super) struct Seal(pub(super) CopyId);

impl Job for Seal {
    type Answer = ();
    const WITHIN: Duration = WITHIN;
    const ON: Use = Use::Chores;
    // The other ledger relies on it from now on.
    const IS_DURABLE: bool = true;

    async fn run(&self, transaction: &Transaction<'_>, _: &mut Changes) -> Result<(), Fault> {
        let Self(copy) = *self;
        match Begun::find(transaction, copy, Hold::Alone).await? {
            Some(begun) if begun.stage <= Stage::Sealed => set_stage(transaction, copy, Stage::Sealed).await,
            Some(_) => Err(not_as_expected("not in use", "one that is")),
            None => Err(not_as_expected("not in use", "none")),
        }
    }
}

/// Locks the copy until the end of the transaction; it is being let go from now on. Where all of it has gone before, the tables may have
/// another copy, so nothing may be done to them.
pub(super) async fn hold_to_release(transaction: &Transaction<'_>, copy: CopyId) -> Result<Stage, Fault> {
    let begun = Begun::find(transaction, copy, Hold::Alone).await?;
    match begun.map(|begun| begun.stage) {
        None => Err(not_as_expected("complete", "none")),
        Some(Stage::UnderWay) => Err(not_as_expected("complete", "one that is under way")),
        Some(Stage::Sealed) => {
            set_stage(transaction, copy, Stage::BeingReleased).await?;
            Ok(Stage::BeingReleased)
        }
        Some(stage) => Ok(stage),
    }
}

/// Writes the stage down, also where it is written there already: the commit shows that it stays.
pub(super) async fn set_stage(transaction: &Transaction<'_>, copy: CopyId, stage: Stage) -> Result<(), Fault> {
    let set = transaction.prepare_cached("UPDATE copies SET state = $2 WHERE copy = $1").await?;
    transaction.execute(&set, &[&uuid(copy), &stage.number()]).await?;
    Ok(())
}
