//! What keeps PostgreSQL from cleaning up: a transaction that somebody has left open, a replication slot that nobody uses, and the like.
//! Deliveries leave dead rows, and become slow when these stay.

use super::database::Database;
use super::error::Fault;
use super::session::Use;
use std::collections::HashMap;
use std::time::{Duration, Instant};
use tokio_postgres::Row;

/// How often one kind is told of.
const TELL_EVERY: Duration = Duration::from_secs(3600);

/// Something that keeps dead rows from being cleaned up, and what PostgreSQL calls it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct HoldUp {
    kind: Kind,
    name: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    Transaction,
    Prepared,
    Slot,
    Standby,
}

/// What a plain role may not see comes as NULL, and is not told of. VACUUM itself holds up nobody. For how long a slot has been
/// unused PostgreSQL does not say.
const FIND: &str = "
    SELECT 'transaction', format('process %s, %s of %s', pid, coalesce(nullif(application_name, ''), 'a program'), usename)
    FROM pg_stat_activity
    WHERE backend_xmin IS NOT NULL AND backend_type = 'client backend' AND datname = current_database()
        AND pid <> pg_backend_pid() AND query NOT ILIKE 'VACUUM%' AND xact_start < clock_timestamp() - make_interval(secs => $1)
    UNION ALL
    SELECT 'prepared', gid FROM pg_prepared_xacts
    WHERE database = current_database() AND prepared < clock_timestamp() - make_interval(secs => $1)
    UNION ALL
    SELECT 'slot', slot_name FROM pg_replication_slots WHERE NOT active AND xmin IS NOT NULL
    UNION ALL
    SELECT 'standby', format('process %s, %s', pid,
        coalesce(nullif(application_name, ''), client_addr::text, 'without a name'))
    FROM pg_stat_activity WHERE backend_type = 'walsender' AND age(backend_xmin) > 1000000";

/// Finds what has held up for longer than the options allow.
pub(super) async fn find(database: &Database) -> Result<Vec<HoldUp>, Fault> {
    let connection = database.connection(Use::Chores).await?;
    let find = connection.prepare_cached(FIND).await?;
    connection.query(&find, &[&database.options.hold_up.as_secs_f64()]).await?.iter().map(HoldUp::read).collect()
}

impl HoldUp {
    fn read(row: &Row) -> Result<Self, Fault> {
        let kind = match row.try_get(0)? {
            "transaction" => Kind::Transaction,
            "prepared" => Kind::Prepared,
            "slot" => Kind::Slot,
            _ => Kind::Standby,
        };
        Ok(Self { kind, name: row.try_get(1)? })
    }

    fn warn(&self) {
        let name = &self.name;
        match self.kind {
            Kind::Transaction => tracing::warn!(
                session = name,
                "PostgreSQL cannot clean up behind deliveries, which become slow: a transaction has been open for long; end it"
            ),
            Kind::Prepared => tracing::warn!(
                transaction = name,
                "PostgreSQL cannot clean up behind deliveries, which become slow: a prepared transaction has waited for long; \
                 commit it or roll it back"
            ),
            Kind::Slot => tracing::warn!(
                slot = name,
                "PostgreSQL cannot clean up behind deliveries, which become slow: nobody uses a replication slot; \
                 drop it, or start its standby"
            ),
            Kind::Standby => tracing::warn!(
                standby = name,
                "PostgreSQL cannot clean up behind deliveries, which become slow: a query on a standby has run for long \
                 (hot_standby_feedback); end it"
            ),
        }
    }
}

/// When each kind was told of last.
#[derive(Debug, Default)]
pub(super) struct Told(HashMap<Kind, Instant>);

impl Told {
    /// Tells the log of the first of each kind that it has not heard of for an hour.
    pub(super) fn tell(&mut self, found: &[HoldUp], now: Instant) {
        for hold_up in found {
            if self.is_new(hold_up.kind, now) {
                hold_up.warn();
            }
        }
    }

    fn is_new(&mut self, kind: Kind, now: Instant) -> bool {
        let is_new = self.0.get(&kind).is_none_or(|told| now.duration_since(*told) >= TELL_EVERY);
        if is_new {
            self.0.insert(kind, now);
        }
        is_new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_is_told_of_once_an_hour() {
        let mut told = Told::default();
        let (begin, minute) = (Instant::now(), Duration::from_secs(60));
        assert!(told.is_new(Kind::Slot, begin));
        assert!(!told.is_new(Kind::Slot, begin + minute));
        assert!(told.is_new(Kind::Prepared, begin + minute), "another kind");
        assert!(!told.is_new(Kind::Slot, begin + 59 * minute));
        assert!(told.is_new(Kind::Slot, begin + 60 * minute));
        assert!(!told.is_new(Kind::Prepared, begin + 60 * minute), "a minute is left");
        assert!(!told.is_new(Kind::Slot, begin + 61 * minute), "told of a minute ago");
    }
}
