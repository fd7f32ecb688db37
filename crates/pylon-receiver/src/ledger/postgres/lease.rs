//! Leases: made by a claim, ended by a settlement, by their owner, or by time.
//!
//! A delivery with a lease is one in state 2, with the token of the claim. The server's disk may lose what a claim, a renewal or a
//! release wrote last: that costs a second attempt at most, so their commits wait for no disk.

use super::database::Database;
use super::error::Fault;
use super::lent::Lent;
use super::row::{milliseconds, uuid_of};
use super::session::Use;
use super::tries::tried_within;
use crate::ledger::{Lease, Owner};
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

/// Begins a transaction whose commit waits for no disk.
pub(super) const BEGIN: &str = "BEGIN; SET LOCAL synchronous_commit TO off; SELECT keep_time()";

/// Ends leases whose time is over, a limited number: what others have locked they are about to settle or to renew.
pub(super) const EXPIRE: &str = "
WITH over AS MATERIALIZED (
    SELECT event_id, number FROM open WHERE destination = $1 AND state = 2 AND lease_until <= (SELECT tick())
    ORDER BY lease_until LIMIT 100 FOR UPDATE SKIP LOCKED
)
UPDATE open SET state = 0, token = NULL, lease_until = NULL, owner = NULL,
    interruptions = interruptions + 1, is_repeat = is_repeat OR interruptions > 0
FROM over WHERE open.event_id = over.event_id AND open.number = over.number";

/// Ends leases of which no owner knows, because the claim's answer was lost. They are no interruptions. Answers the tokens.
pub(super) const GIVE_BACK: &str = "
UPDATE open SET state = 0, token = NULL, lease_until = NULL, owner = NULL
FROM unnest($2::bigint[]) AS given (token) WHERE destination = $1 AND state = 2 AND open.token = given.token
RETURNING given.token";

/// Extends leases in the order of the array; answers the places of those that hold.
const RENEW: &str = "
UPDATE open SET lease_until = (SELECT tick()) + $1::bigint
FROM unnest($2::integer[], $3::uuid[], $4::integer[], $5::bigint[], $6::bigint[]) AS given (place, event_id, number, seq, token)
WHERE open.event_id = given.event_id AND open.number = given.number
    AND open.seq = given.seq AND open.token = given.token
RETURNING given.place";

/// Ends an owner's leases, in the order in which all lock rows; answers their destinations.
const RELEASE: &str = "
WITH owned AS MATERIALIZED (
    SELECT event_id, number FROM open WHERE state = 2 AND owner = $1 ORDER BY event_id, number FOR UPDATE
)
UPDATE open SET state = 0, token = NULL, lease_until = NULL, owner = NULL
FROM owned WHERE open.event_id = owned.event_id AND open.number = owned.number
RETURNING destination";

/// Lets others prune.
const RELEASE_CHORES: &str = "UPDATE chores SET owner = NULL, until = 0, place = NULL WHERE owner = $1";

/// A token that tells a delivery's leases from each other: its `seq`, and a number that is random for each claim.
pub(super) fn token(seq: i64, random: i64) -> u128 {
    u128::from(seq.cast_unsigned()) << 64 | u128::from(random.cast_unsigned())
}

/// The parts of a [`token`].
pub(super) fn parts(token: u128) -> (i64, i64) {
    (((token >> 64) as u64).cast_signed(), (token as u64).cast_signed())
}

/// The owner as the tables hold it.
pub(super) fn uuid_of_owner(owner: Owner) -> Uuid {
    Uuid::from_bytes(*owner.as_bytes())
}

/// Extends leases; says for each whether it holds.
pub(super) async fn renew(database: Arc<Database>, leases: Vec<Lease>, length: Duration) -> Result<Vec<bool>, Fault> {
    let mut sorted: Vec<_> = leases.iter().zip(0..).collect();
    sorted.sort_by_key(|(lease, _)| lease.delivery);
    let (mut places, mut events, mut numbers) = (Vec::new(), Vec::new(), Vec::new());
    let (mut seqs, mut tokens) = (Vec::new(), Vec::new());
    for (lease, place) in sorted {
        let (seq, token) = parts(lease.token);
        places.push(place);
        events.push(uuid_of(lease.delivery.event));
        numbers.push(lease.delivery.number.cast_signed());
        seqs.push(seq);
        tokens.push(token);
    }
    let length = milliseconds(length);
    let columns: &[&(dyn ToSql + Sync)] = &[&length, &places, &events, &numbers, &seqs, &tokens];
    let renewed = tried_within(database.options.exchange_within(), async || {
        let transaction = Lent::new(database.connection(Use::Deliver).await?);
        let renew = transaction.prepare_cached(RENEW).await?;
        let (begun, renewed, committed) = tokio::join!(
            biased;
            transaction.batch_execute(BEGIN),
            transaction.query(&renew, columns),
            transaction.batch_execute("COMMIT"),
        );
        begun?;
        let renewed = renewed?;
        committed?;
        transaction.done();
        Ok(renewed)
    })
    .await?;
    let mut holds = vec![false; leases.len()];
    for row in renewed {
        let place: i32 = row.try_get(0)?;
        holds[place as usize] = true;
    }
    // Of one lease that was given twice, one row is answered.
    let held: HashSet<Lease> =
        leases.iter().zip(&holds).filter(|(_, holds)| **holds).map(|(lease, _)| *lease).collect();
    Ok(leases.iter().map(|lease| held.contains(lease)).collect())
}

/// Gives back all leases of an owner, and its chores.
pub(super) async fn release(database: Arc<Database>, owner: Owner) -> Result<u64, Fault> {
    let owner: &[&(dyn ToSql + Sync)] = &[&uuid_of_owner(owner)];
    let released = tried_within(database.options.exchange_within(), async || {
        let transaction = Lent::new(database.connection(Use::Deliver).await?);
        let release = transaction.prepare_cached(RELEASE).await?;
        let release_chores = transaction.prepare_cached(RELEASE_CHORES).await?;
        let (begun, released, chores, committed) = tokio::join!(
            biased;
            transaction.batch_execute(BEGIN),
            transaction.query(&release, owner),
            transaction.execute(&release_chores, owner),
            transaction.batch_execute("COMMIT"),
        );
        begun?;
        let released = released?;
        chores?;
        committed?;
        transaction.done();
        Ok(released)
    })
    .await?;
    let mut destinations: HashSet<Arc<str>> = HashSet::new();
    for row in &released {
        destinations.insert(row.try_get::<_, &str>(0)?.into());
    }
    destinations.iter().for_each(|destination| database.wake(destination));
    Ok(released.len() as u64)
}
