//! Deduplication keys of a copy. They count at once.

use super::super::changes::Changes;
use super::super::error::Fault;
use super::super::row::{event_of, uuid_of};
use super::super::session::Use;
use super::super::transaction::Job;
use super::begun::{Begun, Hold, WITHIN, not_as_expected};
use crate::ledger::copy::{CopyId, KeyCopy, KeyName, PutKey};
use deadpool_postgres::Transaction;
use std::collections::HashSet;
use std::time::Duration;
use uuid::Uuid;

/// Puts keys.
pub(super) struct PutKeys {
    pub(super) copy: CopyId,
    pub(super) keys: Vec<KeyCopy>,
}

/// Answers the places of those that are new, and writes down which ones these are.
const PUT: &str = "
    WITH given AS MATERIALIZED (
        SELECT * FROM unnest($1::text[], $2::text[], $3::uuid[], $4::bigint[]) WITH ORDINALITY
            AS given (endpoint, key, event_id, expires_at, place)
    ), put AS (
        INSERT INTO deduplication_keys AS known (endpoint, key, event_id, expires_at)
        SELECT endpoint, key, event_id, expires_at FROM given ORDER BY endpoint, key
        ON CONFLICT (endpoint, key) DO UPDATE SET event_id = excluded.event_id, expires_at = excluded.expires_at
            WHERE known.expires_at <= (SELECT tick()) AND known.event_id <> excluded.event_id
        RETURNING endpoint, key, event_id
    ), noted AS (
        INSERT INTO copied_keys (endpoint, key, event_id) SELECT endpoint, key, event_id FROM put
        ON CONFLICT (endpoint, key) DO UPDATE SET event_id = excluded.event_id
    )
    SELECT given.place FROM put JOIN given ON given.endpoint = put.endpoint AND given.key = put.key";

/// Who has each key.
const FIND: &str = r#"
    SELECT known.event_id, known.expires_at
    FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS named (endpoint, key, place)
    LEFT JOIN deduplication_keys AS known ON known.endpoint = named.endpoint AND known.key = named.key
    ORDER BY named.place"#;

impl Job for PutKeys {
    type Answer = Vec<PutKey>;
    const WITHIN: Duration = WITHIN;
    const ON: Use = Use::Chores;

    async fn run(&self, transaction: &Transaction<'_>, _: &mut Changes) -> Result<Vec<PutKey>, Fault> {
        let Self { copy, keys } = self;
        let origin = Begun::to_put(transaction, *copy).await?.origin;
        let (endpoints, names) = columns(keys.iter().map(|key| &key.name));
        let events: Vec<Uuid> = keys.iter().map(|key| uuid_of(key.event)).collect();
        let expires: Vec<Option<i64>> =
            keys.iter().map(|key| key.expires.map(|expires| origin.since.saturating_add(expires))).collect();
        let put = transaction.prepare_cached(PUT).await?;
        let mut new = HashSet::with_capacity(keys.len());
        for row in transaction.query(&put, &[&endpoints, &names, &events, &expires]).await? {
            new.insert(row.try_get::<_, i64>(0)?);
        }
        if new.len() == keys.len() {
            return Ok(vec![PutKey::New; keys.len()]);
        }
        let kept = find(transaction, &endpoints, &names).await?;
        let answer = |((event, kept), place): ((Uuid, Option<Kept>), i64)| match kept {
            _ if new.contains(&place) => Ok(PutKey::New),
            Some(kept) if kept.event == event => Ok(PutKey::There),
            Some(_) => Ok(PutKey::Taken),
            None => Err(Fault::Again("a deduplication key was let go meanwhile".into())),
        };
        events.into_iter().zip(kept).zip(1..).map(answer).collect()
    }
}

/// Finds keys.
pub(super) struct FindKeys {
    pub(super) copy: CopyId,
    pub(super) names: Vec<KeyName>,
}

impl Job for FindKeys {
    type Answer = Vec<Option<KeyCopy>>;
    const WITHIN: Duration = WITHIN;
    const ON: Use = Use::Chores;

    async fn run(&self, transaction: &Transaction<'_>, _: &mut Changes) -> Result<Vec<Option<KeyCopy>>, Fault> {
        let Self { copy, names } = self;
        let begun = Begun::find(transaction, *copy, Hold::Shared).await?;
        let since = begun.ok_or_else(|| not_as_expected("there", "none"))?.origin.since;
        let (endpoints, keys) = columns(names.iter());
        let kept = find(transaction, &endpoints, &keys).await?;
        let key = |(name, kept): (&KeyName, Option<Kept>)| {
            let Kept { event, expires_at } = kept?;
            let expires = expires_at.map(|at| at.saturating_sub(since));
            Some(KeyCopy { name: name.clone(), event: event_of(event), expires })
        };
        Ok(names.iter().zip(kept).map(key).collect())
    }
}

/// Who has a key, and until when.
struct Kept {
    event: Uuid,
    expires_at: Option<i64>,
}

async fn find(transaction: &Transaction<'_>, endpoints: &[&str], keys: &[&str]) -> Result<Vec<Option<Kept>>, Fault> {
    let find = transaction.prepare_cached(FIND).await?;
    let read = |row: &tokio_postgres::Row| {
        let event: Option<Uuid> = row.try_get(0)?;
        let expires_at = row.try_get(1)?;
        Ok(event.map(|event| Kept { event, expires_at }))
    };
    transaction.query(&find, &[&endpoints, &keys]).await?.iter().map(read).collect()
}

fn columns<'n>(names: impl Iterator<Item = &'n KeyName>) -> (Vec<&'n str>, Vec<&'n str>) {
    names.map(|name| (&*name.endpoint, &*name.key)).unzip()
}
