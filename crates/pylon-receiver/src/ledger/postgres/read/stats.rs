//! The numbers of the ledger: what the tallies say, and what is being delivered.

use super::super::database::Database;
use super::super::error::Fault;
use super::super::row::moment_of;
use super::bounded;
use crate::ledger::{DestinationStats, Stats};
use std::sync::Arc;
use tokio_postgres::Row;

/// One statement, so that all numbers are of one moment. Only what is being delivered is counted: those are few.
const SUMS: &str = "
    SELECT destination, sums.events, sums.parked, sums.waiting, sums.held, sums.dead, leased.delivering,
           due.since - clock.ahead, due.since <= clock.tick
    FROM (
        SELECT destination, sum(events)::bigint AS events, sum(parked)::bigint AS parked, sum(waiting)::bigint AS waiting,
               sum(held)::bigint AS held, sum(dead)::bigint AS dead
        FROM tallies GROUP BY destination
    ) AS sums
    CROSS JOIN (SELECT tick() AS tick, tick() - wall_ms() AS ahead) AS clock
    CROSS JOIN LATERAL (
        SELECT count(*) AS delivering FROM open WHERE open.destination = sums.destination AND state = 2
    ) AS leased
    CROSS JOIN LATERAL (
        SELECT least(
            (SELECT due_at FROM open WHERE open.destination = sums.destination AND NOT is_repeat AND state = 0 ORDER BY due_at LIMIT 1),
            (SELECT due_at FROM open WHERE open.destination = sums.destination AND is_repeat AND state = 0 ORDER BY due_at LIMIT 1)
        ) AS since
    ) AS due
    ORDER BY destination";

const SIZES: &str = "
    SELECT (SELECT count(*) FROM refused), (
        SELECT coalesce(sum(pg_total_relation_size(pg_class.oid)), 0)::bigint
        FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
        WHERE nspname = current_schema() AND relkind = 'r'
    )";

pub(in super::super) async fn stats(database: Arc<Database>) -> Result<Stats, Fault> {
    let (sums, sizes) = bounded::read(&database, async |connection| {
        let (sums, sizes) = (connection.prepare_cached(SUMS).await?, connection.prepare_cached(SIZES).await?);
        Ok(tokio::try_join!(connection.query(&sums, &[]), connection.query_one(&sizes, &[]))?)
    })
    .await?;
    let mut stats = Stats::default();
    for row in sums {
        let number =
            |column: usize| -> Result<u64, Fault> { Ok(row.try_get::<_, i64>(column)?.max(0).cast_unsigned()) };
        stats.events += number(1)?;
        stats.parked += number(2)?;
        let of = read(&row)?;
        if of.waiting + of.held + of.delivering + of.dead > 0 {
            stats.destinations.push(of);
        }
    }
    stats.refused = sizes.try_get::<_, i64>(0)?.cast_unsigned();
    stats.ledger_bytes = sizes.try_get::<_, i64>(1)?.cast_unsigned();
    Ok(stats)
}

fn read(row: &Row) -> Result<DestinationStats, Fault> {
    let number = |column: usize| -> Result<u64, Fault> { Ok(row.try_get::<_, i64>(column)?.max(0).cast_unsigned()) };
    let (waiting, delivering) = (number(3)?, number(6)?);
    let is_due = row.try_get::<_, Option<bool>>(8)?.unwrap_or(false);
    let due_since = row.try_get::<_, Option<i64>>(7)?.map(moment_of);
    Ok(DestinationStats {
        destination: row.try_get(0)?,
        // Those that are being delivered count as waiting in the tallies.
        waiting: waiting.saturating_sub(delivering),
        held: number(4)?,
        delivering,
        dead: number(5)?,
        oldest_due_at: due_since.filter(|_| is_due),
    })
}
