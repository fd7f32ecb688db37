//! Keeps events and their deliveries, many in one commit.

use super::behind::free;
use super::connection::Connection;
use super::database::Database;
use super::durability::met;
use super::error::Fault;
use super::line::{LOCK_LINES, line};
use super::row::{event_of, milliseconds, uuid_of};
use crate::ledger::{NewEvent, Recorded};
use std::collections::HashSet;
use std::future::ready;
use std::sync::Arc;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

/// Begins.
const BEGIN: &str = "BEGIN; SELECT keep_time()";
/// Begins what waits for standbys at its commit even if it changes nothing: what it answers about events of before, a standby has too.
const BEGIN_STRICT: &str = "BEGIN; SELECT keep_time(), pg_logical_emit_message(true, 'pylon-receiver', '')";

// The plans of all that records are made once and kept, whatever the tables are like then (see `settings`): planning `KEEP` takes as long as
// keeping a dozen events. So no plan may depend on how full a table is: rows of tables are looked up one by one, by LATERAL with LIMIT 1,
// which leaves no other way than the index; and lists are matched by hashing, `IN` within an expression, which is never made a join.

/// In one statement, whose snapshot is later than the locks: takes the deduplication keys that are free, keeps the events that have no
/// key or took theirs, and makes their deliveries: waiting, or held behind another one of their line. Answers the ids of the events that it
/// kept, and the destinations that have something due.
const KEEP: &str = r#"
WITH now AS MATERIALIZED (SELECT tick() AS tick),
given AS MATERIALIZED (
    SELECT * FROM unnest($1::uuid[], $2::text[], $3::bytea[], $4::text[], $5::bytea[], $6::bytea[], $7::bytea[], $8::bytea[],
        $9::bytea[], $10::bytea[], $11::text[], $12::bigint[]) WITH ORDINALITY
        AS given (id, endpoint, name, kind, method, target, query, parked, headers, body, key, lasts, place)
),
looped AS MATERIALIZED (
    SELECT DISTINCT passed.place FROM unnest($13::bigint[], $14::uuid[]) AS passed (place, id)
    CROSS JOIN LATERAL (SELECT FROM events WHERE events.id = passed.id LIMIT 1) AS seen
),
taken AS (
    INSERT INTO deduplication_keys AS known (endpoint, key, event_id, expires_at)
    SELECT endpoint, key, id, (SELECT tick FROM now) + lasts
    FROM given LEFT JOIN LATERAL (SELECT true AS is_there FROM events WHERE events.id = given.id LIMIT 1) AS before ON true
    WHERE key IS NOT NULL AND place NOT IN (SELECT place FROM looped) AND before.is_there IS NULL
    ORDER BY endpoint COLLATE "C", key COLLATE "C"
    ON CONFLICT (endpoint, key) DO UPDATE SET event_id = excluded.event_id, expires_at = excluded.expires_at
        WHERE known.expires_at <= (SELECT tick FROM now) AND known.event_id <> excluded.event_id
    RETURNING event_id
),
kept AS (
    INSERT INTO events (id, endpoint, name, kind, method, target, query, parked, headers, body)
    SELECT id, endpoint, name, kind, method, target, query, parked, headers, body FROM given
    WHERE place NOT IN (SELECT place FROM looped) AND (key IS NULL OR id IN (SELECT event_id FROM taken))
    ORDER BY id
    ON CONFLICT (id) DO NOTHING
    RETURNING id, parked IS NOT NULL AS is_parked, octet_length(body) AS bytes
),
made AS (
    SELECT sorted.*, nextval('deliveries_seq') AS seq FROM (
        SELECT delivery.*, row_number() OVER (PARTITION BY line ORDER BY place) AS place_in_line
        FROM unnest($15::uuid[], $16::integer[], $17::integer[], $18::text[], $19::bytea[], $20::bigint[]) WITH ORDINALITY
            AS delivery (event_id, number, size, destination, order_key, line, place)
        WHERE (event_id IN (SELECT id FROM kept)) IS TRUE
        ORDER BY place
    ) AS sorted
),
opened AS (
    INSERT INTO open (event_id, number, seq, destination, order_key, line, state, is_repeat, size, due_at)
    SELECT event_id, number, made.seq, destination, order_key, made.line,
        CASE WHEN made.line IS NULL OR (place_in_line = 1 AND before.seq IS NULL) THEN 0 ELSE 1 END,
        false, size, (SELECT tick FROM now)
    FROM made LEFT JOIN LATERAL (SELECT seq FROM open WHERE open.line = made.line LIMIT 1) AS before ON true
    RETURNING destination, state
),
tallied AS (
    INSERT INTO tallies (destination, events, parked, waiting, held)
    SELECT '', count(*), count(*) FILTER (WHERE is_parked), 0, 0 FROM kept HAVING count(*) > 0
    UNION ALL
    SELECT destination, 0, 0, count(*) FILTER (WHERE state = 0), count(*) FILTER (WHERE state = 1) FROM opened GROUP BY destination
),
unindexed AS (
    INSERT INTO unindexed_events (events, bytes) SELECT array_agg(id), sum(bytes) FROM kept HAVING count(*) > 0
)
SELECT id, NULL AS destination FROM kept
UNION ALL
SELECT DISTINCT NULL::uuid, destination FROM opened WHERE state = 0
"#;

/// Of events that were not kept: the first event that it has passed and that is here, whether it is here itself, who has its key.
const FIND: &str = r#"
SELECT
    (SELECT passed.id FROM unnest($4::bigint[], $5::uuid[]) WITH ORDINALITY AS passed (place, id, nth)
        CROSS JOIN LATERAL (SELECT FROM events WHERE events.id = passed.id LIMIT 1) AS seen
        WHERE passed.place = given.place ORDER BY nth LIMIT 1),
    own.is_there IS NOT NULL,
    known.event_id
FROM unnest($1::uuid[], $2::text[], $3::text[]) WITH ORDINALITY AS given (id, endpoint, key, place)
LEFT JOIN LATERAL (SELECT true AS is_there FROM events WHERE events.id = given.id LIMIT 1) AS own ON true
LEFT JOIN LATERAL (
    SELECT event_id FROM deduplication_keys WHERE deduplication_keys.endpoint = given.endpoint AND deduplication_keys.key = given.key LIMIT 1
) AS known ON true
ORDER BY given.place
"#;

/// Locks those of the lines that nobody has; answers the others.
const TAKEN: &str = "SELECT line FROM unnest($1::bigint[]) AS line WHERE NOT pg_try_advisory_xact_lock(line)";

/// What is done about lines that others have locked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Taken {
    /// They are waited for, again and again.
    WaitedFor,
    /// They are waited for once.
    WaitedForOnce,
    /// Events that join them are not kept, nor what comes behind such an event in another line.
    PassedOver,
}

/// What came of a batch.
pub(super) struct Kept {
    /// An answer for each event; none for one that was passed over.
    pub(super) answers: Vec<Option<Recorded>>,
    /// Destinations that have something due.
    pub(super) due: Vec<Arc<str>>,
    /// Destinations of events that were here before. If it was this receiver that kept them, in a commit whose answer was lost, something is
    /// due there, and nobody knows.
    pub(super) found: Vec<Arc<str>>,
}

/// Keeps the events in their order, all in one commit. No two of them may have one id, or one deduplication key at one endpoint.
pub(super) async fn run(
    connection: &Connection,
    database: &Database,
    events: &[&NewEvent],
    taken: Taken,
) -> Result<Kept, Fault> {
    let begin = if database.probe.is_strict() { BEGIN_STRICT } else { BEGIN };
    if taken != Taken::PassedOver {
        let batch = Batch::of(database.id, events);
        let lines = batch.lines();
        let lock = connection.prepare_cached(LOCK_LINES).await?;
        let locked = async {
            match lines.is_empty() {
                true => Ok(0),
                false => connection.execute(&lock, &[&lines]).await,
            }
        };
        let before = async { tokio::try_join!(biased; connection.batch_execute(begin), locked).map(drop) };
        return batch.keep(connection, database, before, events).await;
    }
    let lines = Batch::of(database.id, events).lines();
    let look = connection.prepare_cached(TAKEN).await?;
    let looked = async { connection.query(&look, &[&lines]).await };
    let (_, rows) = tokio::try_join!(biased; connection.batch_execute(begin), looked)?;
    let are_taken = rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?;
    let are_free = free(database.id, events, are_taken);
    let kept: Vec<&NewEvent> =
        events.iter().zip(&are_free).filter(|(_, is_free)| **is_free).map(|(&event, _)| event).collect();
    let Kept { answers, due, found } =
        Batch::of(database.id, &kept).keep(connection, database, ready(Ok(())), &kept).await?;
    let mut answers = answers.into_iter();
    let answers = are_free.into_iter().map(|is_free| if is_free { answers.next().flatten() } else { None }).collect();
    Ok(Kept { answers, due, found })
}

/// Events and deliveries, a list for each column.
#[derive(Default)]
struct Batch<'a> {
    ids: Vec<Uuid>,
    endpoints: Vec<&'a str>,
    names: Vec<&'a [u8]>,
    kinds: Vec<Option<&'a str>>,
    methods: Vec<&'a [u8]>,
    targets: Vec<&'a [u8]>,
    queries: Vec<Option<&'a [u8]>>,
    parked: Vec<Option<&'a [u8]>>,
    headers: Vec<&'a [u8]>,
    bodies: Vec<&'a [u8]>,
    keys: Vec<Option<&'a str>>,
    lasts: Vec<Option<i64>>,
    /// The places of events in the batch, from 1, and the ids that they have passed.
    passed: (Vec<i64>, Vec<Uuid>),
    /// Of deliveries: the events, and the bytes of their bodies.
    events: Vec<Uuid>,
    numbers: Vec<i32>,
    sizes: Vec<i32>,
    destinations: Vec<&'a str>,
    order_keys: Vec<Option<&'a [u8]>>,
    lines: Vec<Option<i64>>,
}

impl<'a> Batch<'a> {
    fn of(ledger: Uuid, events: &[&'a NewEvent]) -> Self {
        let mut batch = Self::default();
        for (&event, place) in events.iter().zip(1..) {
            batch.ids.push(uuid_of(event.id));
            batch.endpoints.push(&event.endpoint);
            batch.names.push(event.name.as_bytes());
            batch.kinds.push(event.kind.as_deref());
            batch.methods.push(event.method.as_bytes());
            batch.targets.push(event.target.as_bytes());
            batch.queries.push(event.query.as_deref().map(str::as_bytes));
            batch.parked.push(event.parked.as_deref().map(str::as_bytes));
            batch.headers.push(event.headers.as_bytes());
            batch.bodies.push(event.body.as_bytes());
            batch.keys.push(event.deduplication.as_ref().map(|key| &*key.key));
            batch.lasts.push(event.deduplication.as_ref().and_then(|key| key.lasts).map(milliseconds));
            for &passed in &event.passed {
                batch.passed.0.push(place);
                batch.passed.1.push(uuid_of(passed));
            }
            for (delivery, number) in event.deliveries.iter().zip(1..) {
                let order_key = delivery.order_key.as_deref();
                batch.events.push(uuid_of(event.id));
                batch.numbers.push(number);
                batch.sizes.push(i32::try_from(event.body.as_bytes().len()).unwrap_or(i32::MAX));
                batch.destinations.push(&delivery.destination);
                batch.order_keys.push(order_key.map(str::as_bytes));
                batch.lines.push(order_key.map(|key| line(ledger, &delivery.destination, key)));
            }
        }
        batch
    }

    /// The lines, sorted.
    fn lines(&self) -> Vec<i64> {
        let mut lines: Vec<i64> = self.lines.iter().flatten().copied().collect();
        lines.sort_unstable();
        lines.dedup();
        lines
    }

    /// Keeps what can be kept of the events, of which this is the batch, and commits. The first poll of what comes before sends everything
    /// that begins the transaction and locks the lines.
    async fn keep(
        &self,
        connection: &Connection,
        database: &Database,
        before: impl Future<Output = Result<(), tokio_postgres::Error>>,
        events: &[&NewEvent],
    ) -> Result<Kept, Fault> {
        let keep = connection.prepare_cached(KEEP).await?;
        let columns: &[&(dyn ToSql + Sync)] = &[
            &self.ids,
            &self.endpoints,
            &self.names,
            &self.kinds,
            &self.methods,
            &self.targets,
            &self.queries,
            &self.parked,
            &self.headers,
            &self.bodies,
            &self.keys,
            &self.lasts,
            &self.passed.0,
            &self.passed.1,
            &self.events,
            &self.numbers,
            &self.sizes,
            &self.destinations,
            &self.order_keys,
            &self.lines,
        ];
        // Sent one behind the other without waiting. If one fails, so do those behind it, and the commit is a rollback that reports no
        // error: nothing counts unless all succeed.
        let (_, rows, _, met) = tokio::try_join!(
            biased;
            before,
            connection.query(&keep, columns),
            connection.batch_execute("COMMIT"),
            met(connection, database.probe.promise),
        )?;
        let (mut kept, mut due) = (HashSet::<Uuid>::with_capacity(rows.len()), Vec::new());
        for row in rows {
            match row.try_get(0)? {
                Some(id) => drop(kept.insert(id)),
                None => due.push(row.try_get::<_, &str>(1)?.into()),
            }
        }
        database.probe.meets(met)?;
        let others: Vec<usize> = (0..events.len()).filter(|&place| !kept.contains(&self.ids[place])).collect();
        let (mut answers, mut found) = (vec![Some(Recorded::Stored); events.len()], Vec::new());
        if !others.is_empty() {
            for (&place, answer) in others.iter().zip(find(connection, events, &others).await?) {
                if answer == Recorded::Stored {
                    found.extend(events[place].deliveries.iter().map(|delivery| delivery.destination.clone()));
                }
                answers[place] = Some(answer);
            }
        }
        Ok(Kept { answers, due, found })
    }
}

/// The answers to events that were not kept.
async fn find(connection: &Connection, events: &[&NewEvent], places: &[usize]) -> Result<Vec<Recorded>, Fault> {
    let (mut ids, mut endpoints, mut keys, mut passed) = (Vec::new(), Vec::new(), Vec::new(), (Vec::new(), Vec::new()));
    for (event, place) in places.iter().map(|&place| events[place]).zip(1_i64..) {
        ids.push(uuid_of(event.id));
        endpoints.push(&*event.endpoint);
        keys.push(event.deduplication.as_ref().map(|key| &*key.key));
        for &id in &event.passed {
            passed.0.push(place);
            passed.1.push(uuid_of(id));
        }
    }
    let find = connection.prepare_cached(FIND).await?;
    let rows = connection.query(&find, &[&ids, &endpoints, &keys, &passed.0, &passed.1]).await?;
    let mut answers = Vec::with_capacity(rows.len());
    for (row, id) in rows.iter().zip(ids) {
        let (looped, is_kept, holder): (Option<Uuid>, bool, Option<Uuid>) =
            (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        answers.push(match (looped, holder) {
            (Some(looped), _) => Recorded::Looped(event_of(looped)),
            _ if is_kept || holder == Some(id) => Recorded::Stored,
            (None, Some(holder)) => Recorded::Duplicate(event_of(holder)),
            // Whoever had the key has gone since.
            (None, None) => return Err(Fault::Again("a deduplication key was let go meanwhile".into())),
        });
    }
    Ok(answers)
}
