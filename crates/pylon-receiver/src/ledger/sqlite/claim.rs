//! Leases what is due.

use super::error::is_damage;
use super::settle::{End, end};
use super::writer::Transaction;
use crate::headers::Headers;
use crate::id::{DeliveryId, EventId};
use crate::ledger::{Claim, Claimed, DeliveryState, Lease, LeasedDelivery};
use crate::time::Moment;
use rusqlite::{Connection, Row, params};

const DUE: &str = "
    SELECT seq, event_seq, number, attempts, created_at_ms, redelivery_of FROM deliveries
    WHERE destination = ?1 AND state = 0 AND due_at_ms <= ?2
    ORDER BY due_at_ms, seq LIMIT ?3";
/// Nothing is here but what was written under another time of day.
const DUE_TOO_LATE: &str = "
    SELECT seq, event_seq, number, attempts, created_at_ms, redelivery_of FROM deliveries
    WHERE destination = ?1 AND state = 0 AND due_at_ms > ?2
    ORDER BY due_at_ms, seq LIMIT ?3";
/// Deliveries that a claim finds dead at most; the next claim goes on.
const MOST_DEAD: usize = 256;

/// Leases deliveries to whoever asks.
pub(super) fn run(transaction: &mut Transaction<'_>, claim: &Claim) -> rusqlite::Result<Claimed> {
    let connection = transaction.connection;
    let destination = claim.destination.as_ref();
    connection
        .prepare_cached(
            "UPDATE deliveries SET state = 0, due_at_ms = min(due_at_ms, lease_until_ms), lease_token = NULL, lease_until_ms = NULL
             WHERE destination = ?1 AND state = 2 AND lease_until_ms <= ?2",
        )?
        .execute(params![destination, claim.now])?;
    let lease_ends =
        first(connection, "SELECT min(lease_until_ms) FROM deliveries WHERE destination = ?1 AND state = 2", claim)?;
    let mut claimed = Claimed::default();
    while claimed.exhausted.len() < MOST_DEAD && take_due(transaction, claim, &mut claimed)? {}
    let due = first(connection, "SELECT min(due_at_ms) FROM deliveries WHERE destination = ?1 AND state = 0", claim)?;
    let last = first(connection, "SELECT max(due_at_ms) FROM deliveries WHERE destination = ?1 AND state = 0", claim)?;
    // What seems to be due too late is due now.
    let too_late = last.filter(|&last| last > claim.latest_due).map(|_| claim.now);
    claimed.next_due = [due, too_late, lease_ends].into_iter().flatten().min();
    Ok(claimed)
}

/// Goes through what is due; true: one that was exhausted has let another one go, so that it must be gone through again.
fn take_due(transaction: &mut Transaction<'_>, claim: &Claim, claimed: &mut Claimed) -> rusqlite::Result<bool> {
    let connection = transaction.connection;
    for (sql, bound) in [(DUE, claim.now), (DUE_TOO_LATE, claim.latest_due.max(claim.now))] {
        // Those that turn out to be exhausted make room for others.
        loop {
            let room = claim.limit - claimed.deliveries.len();
            if room == 0 {
                return Ok(false);
            }
            let mut statement = connection.prepare_cached(sql)?;
            let due = statement.query_map(params![claim.destination.as_ref(), bound, room as i64], Due::read)?;
            let due = due.collect::<Result<Vec<_>, _>>()?;
            let found = due.len();
            for (place, delivery) in due.iter().enumerate() {
                let taken = delivery.take(transaction, claim, claimed);
                if taken.inspect_err(|error| note_unreadable(transaction, &due[place..], error))? {
                    return Ok(true);
                }
                if claimed.exhausted.len() >= MOST_DEAD {
                    return Ok(false);
                }
            }
            if found < room {
                break;
            }
        }
    }
    Ok(false)
}

/// Remembers which events cannot be read, where that was the error: once SQLite has met damage in a transaction it lets nothing more
/// be written in it, so that their deliveries end when the claim is run again.
fn note_unreadable(transaction: &mut Transaction<'_>, due: &[Due], error: &rusqlite::Error) {
    if !is_damage(error) {
        return;
    }
    let connection = transaction.connection;
    for delivery in due {
        if delivery.leased(connection).is_err_and(|error| is_damage(&error)) {
            // The name may be what is damaged.
            let event = delivery.event(connection).unwrap_or(EventId::from_bytes([0; 16]));
            tracing::error!(event_id = %event, "an event cannot be read: the ledger is damaged");
            transaction.unreadable.insert(delivery.event_seq, event);
        }
    }
}

fn first(connection: &Connection, sql: &str, claim: &Claim) -> rusqlite::Result<Option<Moment>> {
    connection.prepare_cached(sql)?.query_row([claim.destination.as_ref()], |row| row.get(0))
}

/// A delivery that is due.
struct Due {
    seq: i64,
    event_seq: i64,
    number: u32,
    attempts: u32,
    created_at: Moment,
    redelivery_of: Option<u32>,
}

impl Due {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            seq: row.get(0)?,
            event_seq: row.get(1)?,
            number: row.get(2)?,
            attempts: row.get(3)?,
            created_at: row.get(4)?,
            redelivery_of: row.get(5)?,
        })
    }

    /// Leases it, or ends it where it has had its attempts, for a process ended during the last, or where its event cannot be read:
    /// it shall not stand in front of the others. True: that let another one go.
    fn take(&self, transaction: &Transaction<'_>, claim: &Claim, claimed: &mut Claimed) -> rusqlite::Result<bool> {
        let connection = transaction.connection;
        let (event, reason) = match transaction.unreadable.get(&self.event_seq) {
            Some(&event) => (event, "its event cannot be read: the ledger is damaged".to_owned()),
            None if self.attempts >= claim.most_attempts => {
                let reason = format!("gave up after {} attempts, the last of which never ended", self.attempts);
                (self.event(connection)?, reason)
            }
            None => {
                let leased = self.leased(connection)?;
                connection
                    .prepare_cached(
                        "UPDATE deliveries SET state = 2, attempts = attempts + 1, lease_token = ?2, lease_until_ms = ?3
                         WHERE seq = ?1",
                    )?
                    .execute(params![self.seq, leased.lease.token, claim.lease_until])?;
                claimed.deliveries.push(leased);
                return Ok(false);
            }
        };
        claimed.exhausted.push(DeliveryId { event, number: self.number });
        end(connection, self.seq, End { state: DeliveryState::Dead, at: claim.now, reason: Some(&reason) })
    }

    fn event(&self, connection: &Connection) -> rusqlite::Result<EventId> {
        connection.prepare_cached("SELECT id FROM events WHERE seq = ?1")?.query_row([self.event_seq], |row| row.get(0))
    }

    fn leased(&self, connection: &Connection) -> rusqlite::Result<LeasedDelivery> {
        connection.prepare_cached("SELECT id, endpoint, kind, headers, body FROM events WHERE seq = ?1")?.query_row(
            [self.event_seq],
            |row| {
                let delivery = DeliveryId { event: row.get(0)?, number: self.number };
                Ok(LeasedDelivery {
                    lease: Lease { delivery, token: token() },
                    attempt: self.attempts.saturating_add(1),
                    endpoint: row.get::<_, String>(1)?.into(),
                    kind: row.get::<_, String>(2)?.into(),
                    headers: Headers::from_stored(row.get::<_, Vec<u8>>(3)?),
                    body: row.get::<_, Vec<u8>>(4)?.into(),
                    redelivery_of: self.redelivery_of,
                    created_at: self.created_at,
                })
            },
        )
    }
}

/// Random, so that no lease of an earlier process has the same.
fn token() -> i64 {
    let mut bytes = [0; 8];
    crate::random::Randomness::fill(&crate::random::SystemRandomness, &mut bytes);
    i64::from_le_bytes(bytes)
}
