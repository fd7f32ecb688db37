//! Leases what is due.

use super::clock::Tick;
use super::error::is_damage;
use super::lease;
use super::settle::{End, Unfinished, end};
use super::transaction::Transaction;
use crate::headers::Headers;
use crate::id::{DeliveryId, EventId};
use crate::ledger::{Claim, Claimed, DAMAGED, DeliveryState, INTERRUPTED, Lease, LeasedDelivery};
use crate::random::{Randomness, SystemRandomness};
use crate::time::Moment;
use rusqlite::{Connection, OptionalExtension, Row, params};
use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

/// Those that are due, new ones or repeats, the longest due first, behind a given place; those that are leased are passed over.
/// Without a limit: a limit that is bound has SQLite prepare the statement anew each time.
const LONGEST_DUE: &str = "
    SELECT seq, event_seq, number, order_key, at_ms, attempts, uncounted, interruptions, created_at_ms, redelivery_of FROM deliveries
    WHERE destination = ?1 AND is_repeat = ?2 AND state = 10 AND at_ms <= ?3 AND (at_ms, seq) > (?4, ?5)
    AND NOT EXISTS (SELECT 1 FROM leases WHERE leases.destination = ?1 AND delivery_seq = deliveries.seq)
    ORDER BY at_ms, seq";
/// The same, the latest due first.
const LATEST_DUE: &str = "
    SELECT seq, event_seq, number, order_key, at_ms, attempts, uncounted, interruptions, created_at_ms, redelivery_of FROM deliveries
    WHERE destination = ?1 AND is_repeat = ?2 AND state = 10 AND at_ms <= ?3 AND (at_ms, seq) < (?4, ?5)
    AND NOT EXISTS (SELECT 1 FROM leases WHERE leases.destination = ?1 AND delivery_seq = deliveries.seq)
    ORDER BY at_ms DESC, seq DESC";
/// Deliveries that one claim ends at most, and interrupted ones that it passes over at most; the next claim goes on.
const MOST_DEAD: usize = 256;
const MOST_PASSED_OVER: usize = 1024;

/// Leases deliveries to an owner.
pub(super) fn run(
    transaction: &mut Transaction<'_>,
    destination: &Arc<str>,
    claim: &Claim,
) -> rusqlite::Result<Claimed> {
    let first_end = lease::expire(transaction, destination)?;
    let mut random = [0; 8];
    SystemRandomness.fill(&mut random);
    let random = i64::from_le_bytes(random);
    let claiming = Claiming { destination, claim, random, ahead_bytes: Cell::new(0), repeats: Cell::new(0) };
    let mut claimed = Claimed::default();
    while claimed.exhausted.len() < MOST_DEAD {
        match claiming.take_due(transaction, &mut claimed)? {
            Looked::Again => claimed.next_due = None,
            Looked::UpTo(next_due) => {
                claimed.next_due = next_due;
                break;
            }
        }
    }
    if claimed.exhausted.len() >= MOST_DEAD {
        claimed.next_due = Some(Duration::ZERO);
    }
    let lease_ends = first_end.map(|tick| transaction.now.tick.until(tick));
    claimed.next_due = [claimed.next_due, lease_ends].into_iter().flatten().min();
    Ok(claimed)
}

/// What came of going through those that are due.
enum Looked {
    /// One that ended let another one go: go through them again.
    Again,
    /// The claim is filled, or all were seen; how long until the next one.
    UpTo(Option<Duration>),
}

/// Some of those that are due, in the order in which the parts are leased.
#[derive(Clone, Copy)]
enum Part {
    RepeatsFirst,
    New,
    Repeats,
}

/// What came of going through a part.
enum Seen {
    /// One that ended let another one go.
    Again,
    /// The claim is filled.
    Filled,
    /// All that are due were seen, or as many are leased as may be.
    All,
}

struct Claiming<'a> {
    destination: &'a Arc<str>,
    claim: &'a Claim,
    random: i64,
    /// The bodies that are leased ahead by now.
    ahead_bytes: Cell<usize>,
    /// The repeats that are leased by now.
    repeats: Cell<usize>,
}

impl Claiming<'_> {
    fn take_due(&self, transaction: &mut Transaction<'_>, claimed: &mut Claimed) -> rusqlite::Result<Looked> {
        for part in [Part::RepeatsFirst, Part::New, Part::Repeats] {
            match self.take_part(part, transaction, claimed)? {
                Seen::All => {}
                Seen::Again => return Ok(Looked::Again),
                Seen::Filled => return Ok(Looked::UpTo(Some(Duration::ZERO))),
            }
        }
        if claimed.suspects_wait {
            return Ok(Looked::UpTo(Some(Duration::ZERO)));
        }
        let new = self.next_due(transaction, false)?;
        let repeat = if self.room_for(Part::Repeats, claimed) > 0 { self.next_due(transaction, true)? } else { None };
        Ok(Looked::UpTo([new, repeat].into_iter().flatten().min()))
    }

    /// How many more of this part may be leased.
    fn room_for(&self, part: Part, claimed: &Claimed) -> usize {
        let Claim { free, ahead, repeats_first, most_repeats, .. } = *self.claim;
        let (leased, repeats) = (claimed.deliveries.len(), self.repeats.get());
        let room = (free + ahead).saturating_sub(leased);
        match part {
            Part::RepeatsFirst => repeats_first.min(most_repeats).saturating_sub(repeats).min(room),
            Part::New => room,
            Part::Repeats => most_repeats.saturating_sub(repeats).min(free.saturating_sub(leased)),
        }
    }

    fn take_part(
        &self,
        part: Part,
        transaction: &mut Transaction<'_>,
        claimed: &mut Claimed,
    ) -> rusqlite::Result<Seen> {
        let is_repeat = !matches!(part, Part::New);
        // Before everything.
        let (due, mut at, mut seq) = match part {
            Part::New if self.claim.latest_first => (LATEST_DUE, i64::MAX, i64::MAX),
            _ => (LONGEST_DUE, i64::MIN, i64::MIN),
        };
        let mut passed_over = 0;
        loop {
            let room = self.room_for(part, claimed);
            if self.room_for(Part::New, claimed) == 0 || self.has_enough_ahead() || passed_over > MOST_PASSED_OVER {
                return Ok(Seen::Filled);
            }
            if room == 0 {
                return Ok(Seen::All);
            }
            let now = transaction.now.tick;
            let due = transaction
                .connection
                .prepare_cached(due)?
                .query_map(params![self.destination, is_repeat, now, at, seq], |row| Due::read(row, is_repeat))?
                .take(room)
                .collect::<Result<Vec<_>, _>>()?;
            let found = due.len();
            for (place, delivery) in due.iter().enumerate() {
                if self.has_enough_ahead() {
                    return Ok(Seen::Filled);
                }
                match self.take(delivery, transaction, claimed) {
                    Ok(Taken::Leased) => self.repeats.set(self.repeats.get() + usize::from(is_repeat)),
                    Ok(Taken::Ended) if claimed.exhausted.len() < MOST_DEAD => {}
                    Ok(Taken::Ended) => return Ok(Seen::Filled),
                    Ok(Taken::EndedAndFreed) => return Ok(Seen::Again),
                    Ok(Taken::PassedOver) => {
                        passed_over += 1;
                        claimed.suspects_wait = true;
                    }
                    Err(error) => {
                        note_unreadable(transaction, &due[place..], &error);
                        return Err(error);
                    }
                }
            }
            if self.has_enough_ahead() {
                return Ok(Seen::Filled);
            }
            let Some(last) = due.last().filter(|_| found == room) else { return Ok(Seen::All) };
            (at, seq) = (last.at, last.seq);
        }
    }

    /// How long until the next new one, or the next repeat, that is not due yet.
    fn next_due(&self, transaction: &Transaction<'_>, is_repeat: bool) -> rusqlite::Result<Option<Duration>> {
        let next: Option<Tick> = transaction
            .connection
            .prepare_cached(
                "SELECT at_ms FROM deliveries WHERE destination = ?1 AND is_repeat = ?2 AND state = 10 AND at_ms > ?3
                 ORDER BY at_ms LIMIT 1",
            )?
            .query_row(params![self.destination, is_repeat, transaction.now.tick], |row| row.get(0))
            .optional()?;
        Ok(next.map(|next| transaction.now.tick.until(next)))
    }

    /// Whether the bodies that are leased ahead have enough bytes.
    fn has_enough_ahead(&self) -> bool {
        self.ahead_bytes.get() > 0 && self.ahead_bytes.get() >= self.claim.ahead_bytes
    }

    /// Leases a delivery; or ends it where it has had its attempts, or its event cannot be read, so that it does not stand in
    /// front of the others.
    fn take(
        &self,
        delivery: &Due,
        transaction: &mut Transaction<'_>,
        claimed: &mut Claimed,
    ) -> rusqlite::Result<Taken> {
        let connection = transaction.connection;
        let (event, reason, code) = match transaction.unreadable.get(&delivery.event_seq) {
            Some(&event) => {
                (event, "its event cannot be read: the ledger is damaged".to_owned(), Some(DAMAGED.to_owned()))
            }
            None if delivery.counted() >= self.claim.most_attempts => {
                (delivery.event(connection)?, delivery.gave_up(), delivery.code(connection)?)
            }
            None if delivery.interruptions > 0 && claimed.deliveries.len() >= self.claim.free => {
                return Ok(Taken::PassedOver);
            }
            None => {
                let leased = delivery.leased(transaction, self.random)?;
                self.keep(delivery, &leased, transaction)?;
                if claimed.deliveries.len() >= self.claim.free {
                    self.ahead_bytes.set(self.ahead_bytes.get() + leased.body.len().max(1));
                }
                claimed.deliveries.push(leased);
                return Ok(Taken::Leased);
            }
        };
        claimed.exhausted.push(DeliveryId { event, number: delivery.number });
        let ending =
            Unfinished { seq: delivery.seq, destination: self.destination, order_key: delivery.order_key.as_deref() };
        let has_freed = end(
            transaction,
            ending,
            End { state: DeliveryState::Dead, attempts: 0, reason: Some(&reason), code: code.as_deref() },
        )?;
        Ok(if has_freed { Taken::EndedAndFreed } else { Taken::Ended })
    }

    fn keep(&self, delivery: &Due, leased: &LeasedDelivery, transaction: &Transaction<'_>) -> rusqlite::Result<()> {
        let until = transaction.now.tick.after(self.claim.lease);
        transaction
            .connection
            .prepare_cached(
                "INSERT INTO leases (destination, delivery_seq, token, until_ms, owner, event_id, number, attempt, order_key)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
            )?
            .execute(params![
                self.destination,
                delivery.seq,
                self.random,
                until,
                self.claim.owner,
                leased.lease.delivery.event,
                delivery.number,
                leased.attempt,
                delivery.order_key
            ])
            .map(drop)
    }
}

/// What was done with a delivery that is due.
enum Taken {
    Leased,
    /// It was interrupted before, and there is no slot for it.
    PassedOver,
    Ended,
    EndedAndFreed,
}

/// Remembers which events cannot be read, where that was the error. Once SQLite has met damage in a transaction it lets nothing
/// more be written in it, so their deliveries end when the claim runs again.
fn note_unreadable(transaction: &mut Transaction<'_>, due: &[Due], error: &rusqlite::Error) {
    if !is_damage(error) {
        return;
    }
    let connection = transaction.connection;
    for delivery in due {
        if delivery.leased(transaction, 0).is_err_and(|error| is_damage(&error)) {
            // The id may be what is damaged.
            let event = delivery.event(connection).unwrap_or(EventId::from_bytes([0; 16]));
            tracing::error!(event_id = %event, "an event cannot be read: the ledger is damaged");
            transaction.unreadable.insert(delivery.event_seq, event);
        }
    }
}

/// A delivery that is due.
struct Due {
    seq: i64,
    event_seq: i64,
    number: u32,
    order_key: Option<String>,
    at: i64,
    attempts: u32,
    /// Those of the attempts that do not count.
    uncounted: u32,
    interruptions: u32,
    is_repeat: bool,
    created_at: Option<Moment>,
    redelivery_of: Option<u32>,
}

impl Due {
    fn read(row: &Row<'_>, is_repeat: bool) -> rusqlite::Result<Self> {
        Ok(Self {
            seq: row.get(0)?,
            event_seq: row.get(1)?,
            number: row.get(2)?,
            order_key: row.get(3)?,
            at: row.get(4)?,
            attempts: row.get(5)?,
            uncounted: row.get(6)?,
            interruptions: row.get(7)?,
            is_repeat,
            created_at: row.get(8)?,
            redelivery_of: row.get(9)?,
        })
    }

    /// The attempts that count: those that were settled as such, and every interruption but the first.
    fn counted(&self) -> u32 {
        self.attempts.saturating_sub(self.uncounted).saturating_add(self.interruptions.saturating_sub(1))
    }

    fn gave_up(&self) -> String {
        let plural = |count: u32| if count == 1 { "" } else { "s" };
        let Self { attempts, interruptions, .. } = *self;
        match interruptions {
            0 => format!("gave up after {attempts} attempt{}", plural(attempts)),
            _ => format!("gave up: {attempts} attempt{} ended, {interruptions} never did", plural(attempts)),
        }
    }

    /// The code of its last failed attempt, or that its last attempts never ended.
    fn code(&self, connection: &Connection) -> rusqlite::Result<Option<String>> {
        if self.interruptions > 0 {
            return Ok(Some(INTERRUPTED.to_owned()));
        }
        connection.prepare_cached("SELECT code FROM deliveries WHERE seq = ?1")?.query_row([self.seq], |row| row.get(0))
    }

    fn event(&self, connection: &Connection) -> rusqlite::Result<EventId> {
        connection.prepare_cached("SELECT id FROM events WHERE seq = ?1")?.query_row([self.event_seq], |row| row.get(0))
    }

    fn leased(&self, transaction: &Transaction<'_>, random: i64) -> rusqlite::Result<LeasedDelivery> {
        let mut statement = transaction.connection.prepare_cached(
            "SELECT id, endpoint, name, kind, method, target, query, headers, body FROM events WHERE seq = ?1",
        )?;
        statement.query_row([self.event_seq], |row| {
            let event: EventId = row.get(0)?;
            let created_at = self.created_at.unwrap_or_else(|| event.received_at());
            Ok(LeasedDelivery {
                lease: Lease {
                    delivery: DeliveryId { event, number: self.number },
                    token: lease::token(self.seq, random),
                },
                attempt: self.attempts.saturating_add(self.interruptions).saturating_add(1),
                counted: self.counted(),
                is_repeat: self.is_repeat,
                is_suspect: self.interruptions > 0,
                endpoint: row.get_ref(1)?.as_str()?.into(),
                name: row.get(2)?,
                kind: row.get(3)?,
                method: row.get(4)?,
                target: row.get(5)?,
                query: row.get(6)?,
                headers: Headers::from_stored(row.get::<_, Vec<u8>>(7)?),
                body: row.get::<_, Vec<u8>>(8)?.into(),
                redelivery_of: self.redelivery_of,
                age: transaction.now.wall.since(created_at),
            })
        })
    }
}
