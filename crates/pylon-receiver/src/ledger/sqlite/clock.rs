//! The ledger's time: the wall clock, except that it never goes back.
//!
//! When the wall clock is set back, the ledger's time goes on from where it was, ahead of the clock by that step. So a delay
//! that was counted from the ledger's present is never longer than it was meant, and nothing that is stored has to change.

use crate::time::{Moment, WallClock};
use rusqlite::types::{FromSql, FromSqlResult, ToSql, ToSqlOutput, ValueRef};
use rusqlite::{Connection, params};
use std::sync::Arc;
use std::time::Duration;

/// A point of the ledger's time, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Tick(i64);

impl Tick {
    /// The tick so much later, or the last one there is.
    pub(super) fn after(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)))
    }

    /// Its number, to store.
    pub(super) fn milliseconds(self) -> i64 {
        self.0
    }

    /// The tick so many milliseconds later, or earlier.
    pub(super) fn offset(self, milliseconds: i64) -> Self {
        Self(self.0.saturating_add(milliseconds))
    }

    /// How many milliseconds it is later than another one; negative: earlier.
    pub(super) fn milliseconds_since(self, other: Self) -> i64 {
        self.0.saturating_sub(other.0)
    }

    /// How long until the later tick; zero if it is over.
    pub(super) fn until(self, later: Self) -> Duration {
        Duration::from_millis(u64::try_from(later.0.saturating_sub(self.0)).unwrap_or(0))
    }
}

impl ToSql for Tick {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.0.into())
    }
}

impl FromSql for Tick {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        value.as_i64().map(Self)
    }
}

/// The present, by both clocks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Now {
    /// The ledger's time.
    pub(super) tick: Tick,
    /// The wall clock.
    pub(super) wall: Moment,
    ahead: i64,
}

impl Now {
    /// The moment of the wall clock at which it is this tick, as far as can be told now.
    pub(super) fn wall_at(&self, tick: Tick) -> Moment {
        Moment::from_unix_milliseconds(tick.0.saturating_sub(self.ahead))
    }
}

/// Keeps the ledger's time.
pub(super) struct LedgerClock {
    wall: Arc<dyn WallClock>,
    /// How far the ledger's time is ahead of the wall clock.
    ahead: i64,
    latest: i64,
}

impl LedgerClock {
    /// The clock as it was kept.
    pub(super) fn open(connection: &Connection, wall: Arc<dyn WallClock>) -> rusqlite::Result<Self> {
        let (ahead, latest) = connection
            .prepare_cached("SELECT ahead_ms, latest_ms FROM ledger WHERE id = 1")?
            .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(Self { wall, ahead, latest })
    }

    /// The present. The time goes on from there, however often the wall clock is set back.
    pub(super) fn now(&mut self) -> Now {
        let wall = self.wall.now();
        let tick = wall.unix_milliseconds().saturating_add(self.ahead);
        if tick < self.latest {
            self.ahead = self.ahead.saturating_add(self.latest - tick);
        }
        self.latest = self.latest.max(tick);
        Now { tick: Tick(self.latest), wall, ahead: self.ahead }
    }

    /// Keeps the present.
    pub(super) fn keep(connection: &Connection, now: Now) -> rusqlite::Result<()> {
        connection
            .prepare_cached("UPDATE ledger SET ahead_ms = ?1, latest_ms = ?2 WHERE id = 1")?
            .execute(params![now.ahead, now.tick])
            .map(drop)
    }
}
