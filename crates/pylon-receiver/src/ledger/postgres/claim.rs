//! Leases what is due.

use super::choose::{Choice, Due, Part};
use super::lease::{EXPIRE, GIVE_BACK, token, uuid_of_owner};
use super::lent::Lent;
use super::row::{delivery_of, event_of, milliseconds, moment_of};
use crate::headers::Headers;
use crate::ledger::{Claim, Claimed, Lease, LeasedDelivery};
use std::sync::Arc;
use std::time::Duration;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Error, Row, Statement};

/// When to look again where something is due that another claim has locked: by then it is leased, or let go.
const LOCKED_FOR: Duration = Duration::from_millis(10);

/// The present, and when the first of the leases ends.
const NOW: &str = "
SELECT tick(), wall_ms(), (SELECT lease_until FROM open WHERE destination = $1 AND state = 2 ORDER BY lease_until LIMIT 1)";

/// Locks as many as the claim leases if it passes over none: repeats that go first, new ones, further repeats. Other claims pass over
/// what is locked. What is new goes in the given order.
macro_rules! due {
    ($ascending_or_descending:literal) => {
        concat!(
            "
WITH now AS MATERIALIZED (SELECT tick() AS tick),
first AS MATERIALIZED (
    SELECT * FROM open WHERE destination = $1 AND is_repeat AND state = 0 AND due_at <= (SELECT tick FROM now)
    ORDER BY due_at, seq LIMIT $2::bigint FOR UPDATE SKIP LOCKED
),
new AS MATERIALIZED (
    SELECT * FROM open WHERE destination = $1 AND NOT is_repeat AND state = 0 AND due_at <= (SELECT tick FROM now)
    ORDER BY due_at ",
            $ascending_or_descending,
            ", seq ",
            $ascending_or_descending,
            " LIMIT greatest(0, $3::bigint - (SELECT count(*) FROM first)) FOR UPDATE SKIP LOCKED
),
further AS MATERIALIZED (
    SELECT * FROM open WHERE destination = $1 AND is_repeat AND state = 0 AND due_at <= (SELECT tick FROM now)
        AND seq <> ALL (ARRAY(SELECT seq FROM first))
    ORDER BY due_at, seq
    LIMIT greatest(0, least($4::bigint - (SELECT count(*) FROM first),
        $5::bigint - (SELECT count(*) FROM first) - (SELECT count(*) FROM new))) FOR UPDATE SKIP LOCKED
)
SELECT part, event_id, number, seq, line, due_at, attempts, uncounted, interruptions, is_repeat, size, created_at, redelivery_of
FROM (SELECT 0 AS part, * FROM first UNION ALL SELECT 1, * FROM new UNION ALL SELECT 2, * FROM further) AS due"
        )
    };
}
const LONGEST_DUE: &str = due!("ASC");
const LATEST_DUE: &str = due!("DESC");

/// Locks more: those behind a place.
const MORE: &str = "
SELECT 0, event_id, number, seq, line, due_at, attempts, uncounted, interruptions, is_repeat, size, created_at, redelivery_of
FROM open WHERE destination = $1 AND is_repeat = $2 AND state = 0 AND due_at <= $3 AND (due_at, seq) > ($4, $5)
ORDER BY due_at, seq LIMIT $6 FOR UPDATE SKIP LOCKED";
/// The same, the latest due first.
const MORE_LATEST: &str = "
SELECT 0, event_id, number, seq, line, due_at, attempts, uncounted, interruptions, is_repeat, size, created_at, redelivery_of
FROM open WHERE destination = $1 AND is_repeat = $2 AND state = 0 AND due_at <= $3 AND (due_at, seq) < ($4, $5)
ORDER BY due_at DESC, seq DESC LIMIT $6 FOR UPDATE SKIP LOCKED";

/// Leases what is locked; answers the events. One whose event is not there is not leased.
const LEASE: &str = "
UPDATE open SET state = 2, token = $1, lease_until = $2, owner = $3
FROM unnest($4::integer[], $5::uuid[], $6::integer[]) AS given (place, event_id, number) JOIN events ON events.id = given.event_id
WHERE open.event_id = given.event_id AND open.number = given.number
RETURNING given.place, events.endpoint, events.name, events.kind, events.method, events.target, events.query, events.headers,
    events.body";

/// When the first one is due that is new, and the first repeat if that is asked for.
const NEXT_DUE: &str = "
SELECT (SELECT due_at FROM open WHERE destination = $1 AND NOT is_repeat AND state = 0 ORDER BY due_at, seq LIMIT 1),
    CASE WHEN $2 THEN (SELECT due_at FROM open WHERE destination = $1 AND is_repeat AND state = 0 ORDER BY due_at, seq LIMIT 1) END";

/// The statements, prepared.
pub(super) struct Statements {
    give_back: Statement,
    expire: Statement,
    now: Statement,
    due: Statement,
    more: Statement,
    more_latest: Statement,
    lease: Statement,
    next_due: Statement,
}

/// A claim, in its transaction.
pub(super) struct Claiming<'a> {
    pub(super) destination: &'a Arc<str>,
    pub(super) claim: &'a Claim,
    /// Random: what is leased has it.
    pub(super) token: i64,
    /// The tokens of earlier claims, of which nobody heard.
    pub(super) lost: &'a [i64],
    /// What it chose before it began anew, in that order.
    pub(super) kept: &'a [Due],
    /// How many may end because they have used up their attempts.
    pub(super) most_exhausted: usize,
}

/// What is due and locked.
pub(super) struct Locked {
    /// The tokens whose leases were given back.
    pub(super) given_back: Vec<i64>,
    tick: i64,
    wall: i64,
    /// When the first lease of another claim ends.
    lease_ends: Option<i64>,
    /// As many of each part as may be leased; and whether these are all.
    parts: [(Vec<Due>, bool); 3],
}

/// What was leased.
pub(super) struct Leased {
    pub(super) claimed: Claimed,
    /// Those that were not leased because their event is not there.
    pub(super) unreadable: Vec<Due>,
}

impl Claiming<'_> {
    /// Ends leases whose time is over, and locks what is due. The first poll sends everything.
    pub(super) async fn look(&self, transaction: &Lent, statements: &Statements) -> Result<Locked, Error> {
        let Claim { free, ahead, repeats_first, most_repeats, .. } = *self.claim;
        let room = free.saturating_add(ahead);
        let limits = [repeats_first.min(most_repeats).min(room), room, most_repeats, free];
        let [first, places, most, slots] = limits.map(|limit| i64::try_from(limit).unwrap_or(i64::MAX));
        let destination = &&**self.destination;
        let only: &[&(dyn ToSql + Sync)] = &[destination];
        let columns: &[&(dyn ToSql + Sync)] = &[destination, &first, &places, &most, &slots];
        let (given_back, expired, now, due) = tokio::join!(
            biased;
            self.give_back(transaction, &statements.give_back),
            transaction.execute(&statements.expire, only),
            transaction.query_one(&statements.now, only),
            transaction.query(&statements.due, columns),
        );
        // The first error is the cause of those behind it.
        let given_back = given_back?.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?;
        expired?;
        let (now, rows) = (now?, due?);
        let mut due = [Vec::new(), Vec::new(), Vec::new()];
        for row in rows {
            let part: i32 = row.try_get(0)?;
            due[part.clamp(0, 2) as usize].push(Due::read(&row)?);
        }
        for due in &mut due {
            due.sort_unstable_by_key(|due| (due.at, due.seq));
        }
        let [first, mut new, further] = due;
        if self.claim.latest_first {
            new.reverse();
        }
        // The limits as the statement has them.
        let further_limit = most_repeats.saturating_sub(first.len()).min(free.saturating_sub(first.len() + new.len()));
        let are_all = [first.len() < limits[0], new.len() < room - first.len(), further.len() < further_limit];
        let parts = [(first, are_all[0]), (new, are_all[1]), (further, are_all[2])];
        Ok(Locked { given_back, tick: now.try_get(0)?, wall: now.try_get(1)?, lease_ends: now.try_get(2)?, parts })
    }

    async fn give_back(&self, transaction: &Lent, statement: &Statement) -> Result<Vec<Row>, Error> {
        if self.lost.is_empty() {
            return Ok(Vec::new());
        }
        transaction.query(statement, &[&&**self.destination, &self.lost]).await
    }

    /// Decides what to lease; locks more where some are passed over.
    pub(super) async fn choose(
        &self,
        locked: &mut Locked,
        transaction: &Lent,
        statements: &Statements,
    ) -> Result<Choice<'_>, Error> {
        let mut choice = Choice::new(self.claim, self.most_exhausted);
        let ends = locked.parts.each_ref().map(|(due, _)| due.last().map(|last| (last.at, last.seq)));
        for kept in self.kept {
            let is_kept = |due: &mut Due| due.seq == kept.seq;
            // Others may have it by now.
            if let Some(kept) = locked.parts.iter_mut().find_map(|(due, _)| due.extract_if(.., is_kept).next()) {
                choice.keep(kept);
            }
        }
        // How far the repeats were gone through.
        let mut repeats_up_to = (i64::MIN, i64::MIN);
        for part in Part::ALL {
            let (mut due, mut are_all) = std::mem::take(&mut locked.parts[part as usize]);
            let mut up_to = match part {
                Part::New if self.claim.latest_first => (i64::MAX, i64::MAX),
                Part::New => (i64::MIN, i64::MIN),
                Part::RepeatsFirst | Part::FurtherRepeats => repeats_up_to,
            };
            up_to = ends[part as usize].unwrap_or(up_to);
            loop {
                choice.go_through(part, due);
                let limit = choice.room_for(part);
                if are_all || limit == 0 || choice.is_over() {
                    break;
                }
                if !choice.exhausted.is_empty() {
                    // They end first; then the claim begins anew.
                    return Ok(choice);
                }
                due = self.more(part, up_to, limit, locked.tick, transaction, statements).await?;
                are_all = due.len() < limit;
                up_to = due.last().map_or(up_to, |last| (last.at, last.seq));
            }
            if part != Part::New {
                repeats_up_to = up_to;
            }
            if choice.is_over() {
                break;
            }
        }
        Ok(choice)
    }

    async fn more(
        &self,
        part: Part,
        (at, seq): (i64, i64),
        limit: usize,
        tick: i64,
        transaction: &Lent,
        statements: &Statements,
    ) -> Result<Vec<Due>, Error> {
        let is_repeat = part != Part::New;
        let statement = if !is_repeat && self.claim.latest_first { &statements.more_latest } else { &statements.more };
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows = transaction.query(statement, &[&&**self.destination, &is_repeat, &tick, &at, &seq, &limit]).await?;
        rows.iter().map(Due::read).collect()
    }

    /// Leases what was chosen, and commits.
    pub(super) async fn lease(
        &self,
        choice: &Choice<'_>,
        locked: &Locked,
        transaction: &Lent,
        statements: &Statements,
    ) -> Result<Leased, Error> {
        let (rows, next_due, committed) = tokio::join!(
            biased;
            self.take(&choice.leased, locked, transaction, &statements.lease),
            self.next_due(choice, locked, transaction, &statements.next_due),
            transaction.batch_execute("COMMIT"),
        );
        let (rows, next_due) = (rows?, next_due?);
        committed?;
        let mut events: Vec<Option<Row>> = choice.leased.iter().map(|_| None).collect();
        for row in rows {
            let place: i32 = row.try_get(0)?;
            events[place as usize] = Some(row);
        }
        let mut leased = Leased { claimed: Claimed { next_due, ..Claimed::default() }, unreadable: Vec::new() };
        leased.claimed.suspects_wait = choice.suspects_wait;
        for (due, event) in choice.leased.iter().zip(&events) {
            match event {
                Some(event) => leased.claimed.deliveries.push(due.leased(event, self.token, locked.wall)?),
                None => leased.unreadable.push(due.clone()),
            }
        }
        Ok(leased)
    }

    async fn take(
        &self,
        due: &[Due],
        locked: &Locked,
        transaction: &Lent,
        statement: &Statement,
    ) -> Result<Vec<Row>, Error> {
        if due.is_empty() {
            return Ok(Vec::new());
        }
        let mut sorted: Vec<_> = due.iter().zip(0..).collect();
        sorted.sort_unstable_by_key(|(due, _)| (due.event, due.number));
        let (mut places, mut events, mut numbers) = (Vec::new(), Vec::new(), Vec::new());
        for (due, place) in sorted {
            places.push(place);
            events.push(due.event);
            numbers.push(due.number);
        }
        let until = locked.tick.saturating_add(milliseconds(self.claim.lease));
        let owner = uuid_of_owner(self.claim.owner);
        transaction.query(statement, &[&self.token, &until, &owner, &places, &events, &numbers]).await
    }

    /// How long until the next one that was not leased may be.
    async fn next_due(
        &self,
        choice: &Choice<'_>,
        locked: &Locked,
        transaction: &Lent,
        statement: &Statement,
    ) -> Result<Option<Duration>, Error> {
        if choice.is_filled() || choice.suspects_wait {
            return Ok(Some(Duration::ZERO));
        }
        let may_be_repeat = choice.room_for(Part::FurtherRepeats) > 0;
        let row = transaction.query_one(statement, &[&&**self.destination, &may_be_repeat]).await?;
        let due: [Option<i64>; 2] = [row.try_get(0)?, row.try_get(1)?];
        let due = due.into_iter().flatten().min().map(|due| match until(locked.tick, due) {
            // There was room for it, and it is not leased.
            Duration::ZERO => LOCKED_FOR,
            until => until,
        });
        let lease_ends = locked.lease_ends.map(|end| until(locked.tick, end));
        Ok([due, lease_ends].into_iter().flatten().min())
    }
}

impl Due {
    fn read(row: &Row) -> Result<Self, Error> {
        let (size, redelivery_of): (i32, Option<i32>) = (row.try_get(10)?, row.try_get(12)?);
        Ok(Self {
            event: row.try_get(1)?,
            number: row.try_get(2)?,
            seq: row.try_get(3)?,
            line: row.try_get(4)?,
            at: row.try_get(5)?,
            attempts: row.try_get::<_, i32>(6)?.cast_unsigned(),
            uncounted: row.try_get::<_, i32>(7)?.cast_unsigned(),
            interruptions: row.try_get::<_, i32>(8)?.cast_unsigned(),
            is_repeat: row.try_get(9)?,
            size: usize::try_from(size).unwrap_or(0),
            created_at: row.try_get(11)?,
            redelivery_of: redelivery_of.map(i32::cast_unsigned),
        })
    }

    fn leased(&self, event: &Row, random: i64, wall: i64) -> Result<LeasedDelivery, Error> {
        let created_at = self.created_at.map_or_else(|| event_of(self.event).received_at(), moment_of);
        // What was stored as text is text, unless the disk has changed it: nobody waits behind one that is damaged.
        let text = |bytes: &[u8]| Box::from(String::from_utf8_lossy(bytes));
        Ok(LeasedDelivery {
            lease: Lease { delivery: delivery_of(self.event, self.number), token: token(self.seq, random) },
            attempt: self.attempts.saturating_add(self.interruptions).saturating_add(1),
            counted: self.counted(),
            is_repeat: self.is_repeat,
            is_suspect: self.interruptions > 0,
            endpoint: event.try_get::<_, &str>(1)?.into(),
            name: text(event.try_get(2)?),
            kind: event.try_get::<_, Option<&str>>(3)?.map(Into::into),
            method: text(event.try_get(4)?),
            target: text(event.try_get(5)?),
            query: event.try_get::<_, Option<&[u8]>>(6)?.map(text),
            headers: Headers::from_stored(event.try_get::<_, Vec<u8>>(7)?),
            body: event.try_get::<_, Vec<u8>>(8)?.into(),
            redelivery_of: self.redelivery_of,
            age: moment_of(wall).since(created_at),
        })
    }
}

/// How long until the later tick; zero if it is over.
fn until(tick: i64, later: i64) -> Duration {
    Duration::from_millis(u64::try_from(later.saturating_sub(tick)).unwrap_or(0))
}

impl Statements {
    pub(super) async fn prepare(transaction: &Lent, claim: &Claim) -> Result<Self, Error> {
        let due = if claim.latest_first { LATEST_DUE } else { LONGEST_DUE };
        Ok(Self {
            give_back: transaction.prepare_cached(GIVE_BACK).await?,
            expire: transaction.prepare_cached(EXPIRE).await?,
            now: transaction.prepare_cached(NOW).await?,
            due: transaction.prepare_cached(due).await?,
            more: transaction.prepare_cached(MORE).await?,
            more_latest: transaction.prepare_cached(MORE_LATEST).await?,
            lease: transaction.prepare_cached(LEASE).await?,
            next_due: transaction.prepare_cached(NEXT_DUE).await?,
        })
    }
}
