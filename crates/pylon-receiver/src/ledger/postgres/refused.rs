//! The ring of refused requests: what it keeps, and what gives way.

use super::changes::Changes;
use super::database::Database;
use super::error::Fault;
use super::line::{line, lock};
use super::transaction::{Job, transact};
use crate::ledger::{LedgerError, NewRefused};
use deadpool_postgres::Transaction;
use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::mpsc;
use uuid::Uuid;

/// Requests that may wait to be kept; further ones are dropped.
const MOST_WAITING: usize = 64;
/// The pause for each request that was kept, so that a flood of them leaves the database to the events.
const PAUSE: Duration = Duration::from_millis(2);

/// Keeps refused requests, one transaction at a time, on no connection that events need.
pub(super) struct Refusals(mpsc::Sender<NewRefused>);

impl Refusals {
    pub(super) fn start(database: &Arc<Database>) -> Self {
        let (sender, receiver) = mpsc::channel(MOST_WAITING);
        database.runtime.spawn(keep_all(Arc::downgrade(database), receiver));
        Self(sender)
    }

    /// Keeps one, or drops it if too many wait.
    pub(super) fn keep(&self, refused: NewRefused) {
        // Nobody is told of those that are dropped: it is no promise that they are kept.
        let _ = self.0.try_send(refused);
    }
}

/// Keeps whatever waits, until the ledger is gone.
async fn keep_all(database: Weak<Database>, mut receiver: mpsc::Receiver<NewRefused>) {
    let mut waiting = Vec::new();
    while receiver.recv_many(&mut waiting, MOST_WAITING).await > 0 {
        let refused = std::mem::take(&mut waiting);
        let pause = PAUSE * refused.len() as u32;
        let Some(database) = database.upgrade() else { return };
        match database.run(move |database| keep(database, refused)).await {
            Ok(()) => {}
            Err(LedgerError::Closed) => return,
            Err(error) => tracing::debug!(%error, "refused requests could not be kept"),
        }
        drop(database);
        tokio::time::sleep(pause).await;
    }
}

async fn keep(database: Arc<Database>, refused: Vec<NewRefused>) -> Result<(), Fault> {
    transact(&database, Keep { ledger: database.id, most: database.options.refused, refused }).await
}

/// What is known of one that is kept.
struct Kept {
    number: i64,
    reason: Reason,
}

/// Endpoint and code; no endpoint: the path names none.
type Reason = (Option<Arc<str>>, Box<str>);

/// Some to keep.
struct Keep {
    ledger: Uuid,
    most: usize,
    refused: Vec<NewRefused>,
}

impl Job for Keep {
    type Answer = ();

    async fn run(&self, transaction: &Transaction<'_>, _: &mut Changes) -> Result<(), Fault> {
        let Self { ledger, most, refused } = self;
        // Nobody waits for this commit.
        transaction.batch_execute("SET LOCAL synchronous_commit = off").await?;
        // Of several receivers one at a time. No destination has this name, so no line has this number.
        lock(transaction, &BTreeSet::from([line(*ledger, "\0refused", "")])).await?;
        let kept = kept(transaction).await?;
        let old: Vec<Reason> = kept.iter().map(|kept| kept.reason.clone()).collect();
        let new = refused.iter().map(|refused| (refused.endpoint.clone(), refused.code.into()));
        let stays = ring(old, new, *most);

        let (stays_old, stays_new) = stays.split_at(kept.len());
        let gone: Vec<i64> =
            kept.iter().zip(stays_old).filter(|(_, stays)| !**stays).map(|(kept, _)| kept.number).collect();
        if !gone.is_empty() {
            let drop = transaction.prepare_cached("DELETE FROM refused WHERE number = ANY($1)").await?;
            transaction.execute(&drop, &[&gone]).await?;
        }
        let new: Vec<&NewRefused> =
            refused.iter().zip(stays_new).filter(|(_, stays)| **stays).map(|(new, _)| new).collect();
        insert(transaction, &new).await
    }
}

/// All that are kept, the oldest first.
async fn kept(transaction: &Transaction<'_>) -> Result<Vec<Kept>, Fault> {
    let find = transaction.prepare_cached("SELECT number, endpoint, code FROM refused ORDER BY number").await?;
    let read = |row: &tokio_postgres::Row| {
        let endpoint = row.try_get::<_, Option<&str>>(1)?.map(Arc::from);
        Ok(Kept { number: row.try_get(0)?, reason: (endpoint, row.try_get::<_, &str>(2)?.into()) })
    };
    transaction.query(&find, &[]).await?.iter().map(read).collect()
}

/// The numbers are drawn in the order of the rows.
const INSERT: &str = "
    INSERT INTO refused (at, endpoint, code, reason, status, method, path, remote, headers, body, body_length)
    SELECT at, endpoint, code, reason, status, method, path, remote, headers, body, body_length
    FROM unnest($1::bigint[], $2::text[], $3::text[], $4::bytea[], $5::integer[], $6::bytea[], $7::bytea[], $8::bytea[], $9::bytea[],
                $10::bytea[], $11::bigint[]) WITH ORDINALITY
        AS new (at, endpoint, code, reason, status, method, path, remote, headers, body, body_length, place)
    ORDER BY place";

async fn insert(transaction: &Transaction<'_>, refused: &[&NewRefused]) -> Result<(), Fault> {
    let at: Vec<i64> = refused.iter().map(|refused| refused.at.unix_milliseconds()).collect();
    let endpoints: Vec<Option<&str>> = refused.iter().map(|refused| refused.endpoint.as_deref()).collect();
    let codes: Vec<&str> = refused.iter().map(|refused| refused.code).collect();
    let reasons: Vec<&[u8]> = refused.iter().map(|refused| refused.reason.as_bytes()).collect();
    let statuses: Vec<i32> = refused.iter().map(|refused| i32::from(refused.status)).collect();
    let methods: Vec<&[u8]> = refused.iter().map(|refused| refused.method.as_bytes()).collect();
    let paths: Vec<&[u8]> = refused.iter().map(|refused| refused.path.as_bytes()).collect();
    let remotes: Vec<&[u8]> = refused.iter().map(|refused| refused.remote.as_bytes()).collect();
    let headers: Vec<&[u8]> = refused.iter().map(|refused| refused.headers.as_bytes()).collect();
    let bodies: Vec<&[u8]> = refused.iter().map(|refused| refused.body.as_ref()).collect();
    let lengths: Vec<i64> =
        refused.iter().map(|refused| i64::try_from(refused.body_length).unwrap_or(i64::MAX)).collect();
    let insert = transaction.prepare_cached(INSERT).await?;
    transaction
        .execute(
            &insert,
            &[&at, &endpoints, &codes, &reasons, &statuses, &methods, &paths, &remotes, &headers, &bodies, &lengths],
        )
        .await?;
    Ok(())
}

/// Adds new ones to old ones, one after the other, so that never more than `most` are kept; says of the old and the new whether they stay.
///
/// Scanners ask for many paths. So requests to paths without an endpoint give way first, while they are more than a quarter of all. Among
/// the others, the oldest request of the most frequent reason gives way: a flood of one kind pushes out no other kind.
fn ring(old: Vec<Reason>, new: impl Iterator<Item = Reason>, most: usize) -> Vec<bool> {
    let mut ring = Ring::default();
    let mut reasons = old;
    for (place, reason) in reasons.iter().enumerate() {
        ring.add(place, reason);
    }
    ring.shrink(&reasons, most);
    for reason in new {
        ring.add(reasons.len(), &reason);
        reasons.push(reason);
        ring.shrink(&reasons, most);
    }
    let mut stays = vec![false; reasons.len()];
    for place in ring.kept.values().flatten() {
        stays[*place] = true;
    }
    stays
}

/// Those that stay, by reason, the oldest first.
#[derive(Default)]
struct Ring {
    kept: HashMap<Reason, BTreeSet<usize>>,
    number: usize,
    /// Those whose path names no endpoint.
    nowhere: usize,
}

impl Ring {
    fn add(&mut self, place: usize, reason: &Reason) {
        self.kept.entry(reason.clone()).or_default().insert(place);
        self.number += 1;
        self.nowhere += usize::from(reason.0.is_none());
    }

    fn shrink(&mut self, reasons: &[Reason], most: usize) {
        while self.number > most {
            let is_nowhere = self.nowhere > most.div_ceil(4) || self.nowhere == self.number;
            let of_kind = self.kept.iter().filter(|((endpoint, _), _)| endpoint.is_none() == is_nowhere);
            let oldest = of_kind.filter_map(|(_, places)| Some((places.len(), *places.first()?)));
            let Some((_, place)) = oldest.max_by_key(|&(number, oldest)| (number, std::cmp::Reverse(oldest))) else {
                return;
            };
            let reason = &reasons[place];
            if let Some(places) = self.kept.get_mut(reason) {
                places.remove(&place);
            }
            self.number -= 1;
            self.nowhere -= usize::from(reason.0.is_none());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reasons, a letter each; a capital one names no endpoint.
    fn reasons(letters: &str) -> Vec<Reason> {
        let reason = |letter: char| (letter.is_lowercase().then(|| Arc::from("main")), letter.to_string().into());
        letters.chars().map(reason).collect()
    }

    #[track_caller]
    fn check(old: &str, new: &str, most: usize, expected: &str) {
        let stays = ring(reasons(old), reasons(new).into_iter(), most);
        let all: String =
            old.chars().chain(new.chars()).zip(stays).map(|(letter, stays)| if stays { letter } else { '-' }).collect();
        assert_eq!(all, expected, "{old} and then {new}, {most} at most");
    }

    #[test]
    fn the_ring_keeps_as_many_as_it_may_of_as_many_kinds_as_there_are() {
        check("", "", 3, "");
        check("ab", "c", 3, "abc");
        check("aaa", "a", 3, "-aaa");
        check("aab", "b", 3, "-abb");
        check("abc", "d", 3, "-bcd");
        check("Xaaa", "X", 4, "-aaaX");
        check("XXaa", "a", 4, "-Xaaa");
        check("XXXX", "X", 4, "-XXXX");
        // Fewer are to be kept than before.
        check("aaaabb", "c", 3, "---a-bc");
        check("ab", "c", 0, "---");
        // Some that come together are as some that come one after the other.
        check("ab", "cccccc", 3, "ab-----c");
    }
}
