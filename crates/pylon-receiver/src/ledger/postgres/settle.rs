//! Ends attempts.

use super::lease::parts;
use super::lent::Lent;
use super::lost::Lost;
use super::row::{milliseconds, number_of, uuid_of};
use crate::ledger::{ANSWERS_AT_AN_END, DeliveryState, Lease, NewAttempt, Settled, Settlement, Verdict};
use std::collections::HashSet;
use std::sync::Arc;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Error, Row, Statement};
use uuid::Uuid;

/// Locks the lines of leases that are about to end. The statement behind it sees all that others have done to them before.
const LOCK_LINES: &str = "
SELECT pg_advisory_xact_lock(line) FROM (
    SELECT DISTINCT open.line FROM unnest($1::uuid[], $2::integer[], $3::bigint[]) AS given (event_id, number, token)
    JOIN open ON open.event_id = given.event_id AND open.number = given.number AND open.token = given.token
    WHERE open.line IS NOT NULL ORDER BY open.line
) AS lines";

/// What comes behind `ended`, the deliveries that left `open` in this statement: puts them among the finished ones, and lets the next of
/// each line go. The lines are locked, and what has ended was the only one of its line that was waiting or delivering. Answers the places of
/// what has ended, and the destinations of what was let go.
macro_rules! finish {
    () => {
        "next AS (
    SELECT next.event_id, next.number FROM ended CROSS JOIN LATERAL (
        SELECT event_id, number FROM open WHERE open.line = ended.line AND state = 1 ORDER BY seq LIMIT 1
    ) AS next
),
freed AS (
    UPDATE open SET state = 0, due_at = (SELECT tick()) FROM next
    WHERE open.event_id = next.event_id AND open.number = next.number
    RETURNING open.destination
),
finished AS (
    INSERT INTO finished (event_id, number, destination, order_key, line, state, attempts, finished_at, created_at, redelivery_of,
        reason, token, code, order_number)
    SELECT event_id, number, destination, order_key, line, state, tried, (SELECT wall_ms()), created_at, redelivery_of, reason, token,
        CASE state WHEN 4 THEN code END, order_number
    FROM ended
),
tallied AS (
    INSERT INTO tallies (destination, code, waiting, held, dead)
    SELECT destination, code, sum(waiting), sum(held), sum(dead) FROM (
        SELECT destination, '' AS code, -1 AS waiting, 0 AS held, 0 AS dead FROM ended
        UNION ALL SELECT destination, coalesce(code, ''), 0, 0, 1 FROM ended WHERE state = 4
        UNION ALL SELECT destination, '', 1, -1, 0 FROM freed
    ) AS changes GROUP BY destination, code
)
SELECT place, NULL AS destination FROM ended UNION ALL SELECT NULL, destination FROM freed"
    };
}
pub(super) use finish;

/// Writes the entries of `ended`, the attempts that were settled in this statement, into the log of attempts.
macro_rules! log_entries {
    () => {
        "logged AS (
    INSERT INTO attempts (event_id, number, attempt, started_at, took_ms, status, detail, code, answer_type, answer, answer_is_cut)
    SELECT event_id, number, tried, (SELECT wall_ms()) - took_ms, took_ms, status, detail, code, answer_type, answer, answer_is_cut
    FROM ended WHERE took_ms IS NOT NULL
    ON CONFLICT (event_id, number, attempt) DO UPDATE SET started_at = excluded.started_at, took_ms = excluded.took_ms,
        status = excluded.status, detail = excluded.detail, code = excluded.code, answer_type = excluded.answer_type,
        answer = excluded.answer, answer_is_cut = excluded.answer_is_cut
)"
    };
}

/// Leases that end with their deliveries. Here and below: only what is delivering has a token. The state is not asked for, because with
/// it PostgreSQL may go through all rows of that state instead of looking for these.
const END: &str = concat!(
    "
WITH ended AS (
    DELETE FROM open USING unnest($2::integer[], $3::uuid[], $4::integer[], $5::bigint[], $6::bigint[], $7::smallint[], $8::bytea[],
        $9::bigint[], $10::integer[], $11::bytea[], $12::text[], $13::bytea[], $14::bytea[], $15::boolean[])
        AS given (place, event_id, number, seq, token, state, reason, took_ms, status, detail, code, answer_type, answer, answer_is_cut)
    WHERE open.event_id = given.event_id AND open.number = given.number
        AND open.destination = $1 AND open.seq = given.seq AND open.token = given.token
    RETURNING given.place, open.event_id, open.number, open.destination, open.order_key, open.line, given.state,
        open.attempts + open.interruptions + 1 AS tried, open.created_at, open.redelivery_of, given.reason, given.token,
        open.order_number, given.took_ms, given.status, given.detail, given.code, given.answer_type, given.answer, given.answer_is_cut
),
",
    log_entries!(),
    ",
",
    finish!()
);

/// Leases whose deliveries wait again: due after a delay, with one attempt more; or due as before, where there is no delay.
const AGAIN: &str = concat!(
    "
WITH ended AS (
    UPDATE open SET state = 0, token = NULL, settled_token = given.token, lease_until = NULL, owner = NULL,
        due_at = CASE WHEN given.delay_ms IS NULL THEN open.due_at ELSE (SELECT tick()) + given.delay_ms END,
        attempts = open.attempts + CASE WHEN given.delay_ms IS NULL THEN 0 ELSE 1 END,
        uncounted = open.uncounted + given.uncounted,
        is_repeat = open.is_repeat OR given.delay_ms IS NOT NULL,
        reason = CASE WHEN given.delay_ms IS NULL THEN open.reason ELSE given.detail END,
        code = CASE WHEN given.delay_ms IS NULL THEN open.code ELSE given.code END
    FROM unnest($2::integer[], $3::uuid[], $4::integer[], $5::bigint[], $6::bigint[], $7::bigint[], $8::integer[],
        $9::bigint[], $10::integer[], $11::bytea[], $12::text[], $13::bytea[], $14::bytea[], $15::boolean[])
        AS given (place, event_id, number, seq, token, delay_ms, uncounted, took_ms, status, detail, code, answer_type, answer,
            answer_is_cut)
    WHERE open.event_id = given.event_id AND open.number = given.number
        AND open.destination = $1 AND open.seq = given.seq AND open.token = given.token
    RETURNING given.place, open.event_id, open.number,
        open.attempts + open.interruptions + CASE WHEN given.delay_ms IS NULL THEN 1 ELSE 0 END AS tried,
        given.took_ms, given.status, given.detail, given.code, given.answer_type, given.answer, given.answer_is_cut
),
",
    log_entries!(),
    "
SELECT place FROM ended"
);

/// Of many attempts only the first ones and the last ones keep their answers: that of the one which has just come among those between
/// them goes. Asked of deliveries of which an attempt failed.
const FORGET_ANSWERS: &str = "
UPDATE attempts SET answer_type = NULL, answer = NULL, answer_is_cut = NULL
FROM unnest($1::uuid[], $2::integer[]) AS given (event_id, number)
CROSS JOIN LATERAL (
    SELECT max(attempt) AS attempt FROM attempts WHERE attempts.event_id = given.event_id AND attempts.number = given.number
) AS last
WHERE last.attempt > 2 * $3::integer AND attempts.event_id = given.event_id AND attempts.number = given.number
    AND attempts.attempt = last.attempt - $3::integer AND attempts.answer IS NOT NULL";

/// Of leases whose settlement may be committed: those that are settled.
const EVIDENCE: &str = "
SELECT place FROM unnest($1::integer[], $2::uuid[], $3::integer[], $4::bigint[]) AS given (place, event_id, number, token)
WHERE EXISTS (SELECT 1 FROM finished WHERE finished.event_id = given.event_id AND finished.number = given.number
        AND finished.token = given.token)
    OR EXISTS (SELECT 1 FROM open WHERE open.event_id = given.event_id AND open.number = given.number
        AND open.settled_token = given.token)";

/// Settlements of an exchange, a list for each column.
pub(super) struct Settling<'a> {
    destination: &'a Arc<str>,
    given: &'a [Settlement],
    ends: Ends<'a>,
    again: Again<'a>,
    asked_again: Leases,
    /// Of which an attempt failed.
    failed: (Vec<Uuid>, Vec<i32>),
}

/// Leases, in the order of their deliveries, so that all lock rows in one order.
#[derive(Default)]
struct Leases {
    /// Their places among the settlements.
    places: Vec<i32>,
    events: Vec<Uuid>,
    numbers: Vec<i32>,
    seqs: Vec<i64>,
    tokens: Vec<i64>,
}

/// Entries for the log of attempts, as far as there are any.
#[derive(Default)]
struct Entries<'a> {
    took: Vec<Option<i64>>,
    statuses: Vec<Option<i32>>,
    details: Vec<Option<&'a [u8]>>,
    codes: Vec<Option<&'a str>>,
    answer_types: Vec<Option<&'a [u8]>>,
    answers: Vec<Option<&'a [u8]>>,
    are_cut: Vec<Option<bool>>,
}

#[derive(Default)]
struct Ends<'a> {
    leases: Leases,
    states: Vec<i16>,
    reasons: Vec<Option<Vec<u8>>>,
    entries: Entries<'a>,
}

#[derive(Default)]
struct Again<'a> {
    leases: Leases,
    /// None: due as before, without an attempt.
    delays: Vec<Option<i64>>,
    uncounted: Vec<i32>,
    entries: Entries<'a>,
}

/// The statements, prepared.
pub(super) struct Statements {
    lock_lines: Statement,
    end: Statement,
    again: Statement,
    evidence: Statement,
    forget_answers: Statement,
}

/// What came of settlements, before it is committed.
#[derive(Default)]
pub(super) struct Outcome {
    /// The places of those that counted.
    counted: HashSet<i32>,
    /// The destinations of those in a line that were let go.
    pub(super) freed: Vec<Arc<str>>,
}

impl<'a> Settling<'a> {
    /// What is to be settled at the destination.
    pub(super) fn of(destination: &'a Arc<str>, given: &'a [Settlement], lost: &Lost) -> Self {
        let (mut ends, mut again, mut asked_again) = (Ends::default(), Again::default(), Leases::default());
        let mut failed = <(Vec<_>, Vec<_>)>::default();
        // Of two settlements of one lease the first one counts.
        let mut seen = HashSet::with_capacity(given.len());
        let mut sorted: Vec<_> =
            given.iter().zip(0..).filter(|(settlement, _)| seen.insert(settlement.lease)).collect();
        sorted.sort_by_key(|(settlement, place)| (settlement.lease.delivery, *place));
        for (settlement, place) in sorted {
            let Settlement { lease, verdict, attempt } = settlement;
            let attempt = attempt.as_ref();
            if lost.may_be_settled(lease) {
                asked_again.push(place, *lease);
            }
            if attempt.is_some() && *verdict != Verdict::Delivered {
                failed.0.push(uuid_of(lease.delivery.event));
                failed.1.push(lease.delivery.number.cast_signed());
            }
            match verdict {
                Verdict::Delivered => ends.push(place, *lease, DeliveryState::Delivered, None, attempt),
                Verdict::Dead(reason) => {
                    let reason =
                        attempt.map_or_else(|| reason.to_string(), |attempt| format!("{reason}: {}", attempt.detail));
                    ends.push(place, *lease, DeliveryState::Dead, Some(reason.into_bytes()), attempt);
                }
                Verdict::Retry { after, counts } => {
                    again.push(place, *lease, Some(milliseconds(*after)), i32::from(!counts), attempt);
                }
                Verdict::Released => again.push(place, *lease, None, 0, attempt),
            }
        }
        Self { destination, given, ends, again, asked_again, failed }
    }

    /// Whether there is nothing to settle.
    pub(super) fn is_empty(&self) -> bool {
        self.given.is_empty()
    }

    /// The leases.
    pub(super) fn leases(&self) -> impl Iterator<Item = Lease> {
        self.given.iter().map(|settlement| settlement.lease)
    }

    /// Settles. The first poll sends everything.
    pub(super) async fn run(&self, transaction: &Lent, statements: &Statements) -> Result<Outcome, Error> {
        let Self { destination, ends, again, asked_again, .. } = self;
        let (locked, ended, waiting, settled, forgotten) = tokio::join!(
            biased;
            ends.lock_lines(transaction, &statements.lock_lines),
            ends.run(transaction, &statements.end, destination),
            again.run(transaction, &statements.again, destination),
            asked_again.settled(transaction, &statements.evidence),
            self.forget_answers(transaction, &statements.forget_answers),
        );
        // The first error is the cause of those behind it.
        locked?;
        let mut outcome = Outcome::default();
        for row in ended? {
            match row.try_get(0)? {
                Some(place) => drop(outcome.counted.insert(place)),
                None => outcome.freed.push(row.try_get::<_, &str>(1)?.into()),
            }
        }
        for row in waiting?.iter().chain(&settled?) {
            outcome.counted.insert(row.try_get(0)?);
        }
        forgotten?;
        Ok(outcome)
    }

    async fn forget_answers(&self, transaction: &Lent, statement: &Statement) -> Result<(), Error> {
        let (events, numbers) = &self.failed;
        if !events.is_empty() {
            transaction.execute(statement, &[events, numbers, &ANSWERS_AT_AN_END.cast_signed()]).await?;
        }
        Ok(())
    }

    /// The answers.
    pub(super) fn answers(&self, outcome: &Outcome) -> Vec<Settled> {
        let answer = |place| if outcome.counted.contains(&place) { Settled::Recorded } else { Settled::Fenced };
        (0..).take(self.given.len()).map(answer).collect()
    }

    /// Whether one was given back that is due.
    pub(super) fn has_released(&self, outcome: &Outcome) -> bool {
        let Again { leases, delays, .. } = &self.again;
        leases.places.iter().zip(delays).any(|(place, delay)| delay.is_none() && outcome.counted.contains(place))
    }
}

impl Statements {
    pub(super) async fn prepare(transaction: &Lent) -> Result<Self, Error> {
        Ok(Self {
            lock_lines: transaction.prepare_cached(LOCK_LINES).await?,
            end: transaction.prepare_cached(END).await?,
            again: transaction.prepare_cached(AGAIN).await?,
            evidence: transaction.prepare_cached(EVIDENCE).await?,
            forget_answers: transaction.prepare_cached(FORGET_ANSWERS).await?,
        })
    }
}

impl Leases {
    fn push(&mut self, place: i32, lease: Lease) {
        let (seq, token) = parts(lease.token);
        self.places.push(place);
        self.events.push(uuid_of(lease.delivery.event));
        self.numbers.push(lease.delivery.number.cast_signed());
        self.seqs.push(seq);
        self.tokens.push(token);
    }

    async fn settled(&self, transaction: &Lent, statement: &Statement) -> Result<Vec<Row>, Error> {
        let Self { places, events, numbers, tokens, .. } = self;
        if places.is_empty() {
            return Ok(Vec::new());
        }
        transaction.query(statement, &[places, events, numbers, tokens]).await
    }
}

impl<'a> Entries<'a> {
    fn push(&mut self, attempt: Option<&'a NewAttempt>) {
        self.took.push(attempt.map(|attempt| milliseconds(attempt.took)));
        self.statuses.push(attempt.and_then(|attempt| attempt.status));
        self.details.push(attempt.map(|attempt| attempt.detail.as_bytes()));
        self.codes.push(attempt.map(|attempt| &*attempt.code));
        let answer = attempt.and_then(|attempt| attempt.answer.as_ref());
        self.answer_types.push(answer.and_then(|answer| answer.content_type.as_deref().map(str::as_bytes)));
        self.answers.push(answer.map(|answer| answer.bytes.as_ref()));
        self.are_cut.push(answer.map(|answer| answer.is_cut));
    }
}

impl<'a> Ends<'a> {
    fn push(
        &mut self,
        place: i32,
        lease: Lease,
        state: DeliveryState,
        reason: Option<Vec<u8>>,
        attempt: Option<&'a NewAttempt>,
    ) {
        self.leases.push(place, lease);
        self.states.push(number_of(state));
        self.reasons.push(reason);
        self.entries.push(attempt);
    }

    async fn lock_lines(&self, transaction: &Lent, statement: &Statement) -> Result<(), Error> {
        let Leases { events, numbers, tokens, .. } = &self.leases;
        if !events.is_empty() {
            transaction.execute(statement, &[events, numbers, tokens]).await?;
        }
        Ok(())
    }

    async fn run(&self, transaction: &Lent, statement: &Statement, destination: &Arc<str>) -> Result<Vec<Row>, Error> {
        let Self { leases, states, reasons, entries } = self;
        if states.is_empty() {
            return Ok(Vec::new());
        }
        let Leases { places, events, numbers, seqs, tokens } = leases;
        let Entries { took, statuses, details, codes, answer_types, answers, are_cut } = entries;
        let destination = &&**destination;
        let columns: &[&(dyn ToSql + Sync)] = &[
            destination,
            places,
            events,
            numbers,
            seqs,
            tokens,
            states,
            reasons,
            took,
            statuses,
            details,
            codes,
            answer_types,
            answers,
            are_cut,
        ];
        transaction.query(statement, columns).await
    }
}

impl<'a> Again<'a> {
    fn push(&mut self, place: i32, lease: Lease, delay: Option<i64>, uncounted: i32, attempt: Option<&'a NewAttempt>) {
        self.leases.push(place, lease);
        self.delays.push(delay);
        self.uncounted.push(uncounted);
        self.entries.push(attempt);
    }

    async fn run(&self, transaction: &Lent, statement: &Statement, destination: &Arc<str>) -> Result<Vec<Row>, Error> {
        let Self { leases, delays, uncounted, entries } = self;
        if delays.is_empty() {
            return Ok(Vec::new());
        }
        let Leases { places, events, numbers, seqs, tokens } = leases;
        let Entries { took, statuses, details, codes, answer_types, answers, are_cut } = entries;
        let destination = &&**destination;
        let columns: &[&(dyn ToSql + Sync)] = &[
            destination,
            places,
            events,
            numbers,
            seqs,
            tokens,
            delays,
            uncounted,
            took,
            statuses,
            details,
            codes,
            answer_types,
            answers,
            are_cut,
        ];
        transaction.query(statement, columns).await
    }
}
