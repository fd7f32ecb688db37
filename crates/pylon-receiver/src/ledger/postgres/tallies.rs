//! Numbers without a counter that everybody would have to write: each change adds a row, a chore adds the rows up, and whoever asks adds
//! up what there is.

use super::error::Fault;
use crate::ledger::DeliveryState;
use deadpool_postgres::{GenericClient, Transaction};
use std::collections::BTreeMap;
use std::sync::Arc;

/// By how much the numbers change in one transaction.
#[derive(Debug, Default)]
pub(super) struct Tallies {
    events: i64,
    parked: i64,
    /// By destination and code.
    destinations: BTreeMap<(Arc<str>, Box<str>), Counts>,
}

#[derive(Debug, Default, Clone, Copy)]
struct Counts {
    waiting: i64,
    held: i64,
    dead: i64,
}

impl Tallies {
    /// So many more events are kept, so many of them parked; or fewer.
    pub(super) fn count_events(&mut self, events: i64, parked: i64) {
        self.events += events;
        self.parked += parked;
    }

    /// So many more deliveries to the destination are in this state, or fewer. One that is delivering counts as waiting. Those that are
    /// dead are counted by their code instead.
    pub(super) fn count(&mut self, destination: &Arc<str>, state: DeliveryState, by: i64) {
        use DeliveryState::{Dead, Delivered, Delivering, Dropped, Held, Redelivered, Waiting};
        match state {
            Waiting | Delivering => self.of(destination, "").waiting += by,
            Held => self.of(destination, "").held += by,
            Dead | Delivered | Dropped | Redelivered => {}
        }
    }

    /// So many more deliveries to the destination are dead with this code, or fewer.
    pub(super) fn count_dead(&mut self, destination: &Arc<str>, code: Option<&str>, by: i64) {
        self.of(destination, code.unwrap_or_default()).dead += by;
    }

    fn of(&mut self, destination: &Arc<str>, code: &str) -> &mut Counts {
        self.destinations.entry((destination.clone(), code.into())).or_default()
    }

    /// Writes them down, in the transaction of the change.
    pub(super) async fn write(&self, transaction: &Transaction<'_>) -> Result<(), Fault> {
        let (mut names, mut codes) = (Vec::new(), Vec::new());
        let (mut waiting, mut held, mut dead) = (Vec::new(), Vec::new(), Vec::new());
        for ((name, code), counts) in &self.destinations {
            if (counts.waiting, counts.held, counts.dead) != (0, 0, 0) {
                names.push(&**name);
                codes.push(&**code);
                waiting.push(counts.waiting);
                held.push(counts.held);
                dead.push(counts.dead);
            }
        }
        if !names.is_empty() {
            let add = transaction.prepare_cached(ADD_DELIVERIES).await?;
            transaction.execute(&add, &[&names, &codes, &waiting, &held, &dead]).await?;
        }
        if (self.events, self.parked) != (0, 0) {
            let add = transaction.prepare_cached(ADD_EVENTS).await?;
            transaction.execute(&add, &[&self.events, &self.parked]).await?;
        }
        Ok(())
    }
}

const ADD_DELIVERIES: &str = "
    INSERT INTO tallies (destination, code, waiting, held, dead)
    SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[], $5::bigint[])";

const ADD_EVENTS: &str = "INSERT INTO tallies (destination, events, parked) VALUES ('', $1, $2)";

/// Leaves one row of each destination and code, and none where nothing is counted. One statement, so that nobody sees a row and its sum, or neither.
const FOLD: &str = "
    WITH several AS MATERIALIZED (
        SELECT destination, code FROM tallies GROUP BY destination, code
        HAVING count(*) > 1
            OR (sum(events), sum(parked), sum(waiting), sum(held), sum(dead)) = (0, 0, 0, 0, 0)
    ), gone AS (
        DELETE FROM tallies WHERE (destination, code) IN (SELECT destination, code FROM several)
        RETURNING destination, code, events, parked, waiting, held, dead
    )
    INSERT INTO tallies (destination, code, events, parked, waiting, held, dead)
    SELECT destination, code, sum(events), sum(parked), sum(waiting), sum(held), sum(dead) FROM gone GROUP BY destination, code
    HAVING (sum(events), sum(parked), sum(waiting), sum(held), sum(dead)) <> (0, 0, 0, 0, 0)";

/// Adds up what was written; says into how many rows.
pub(super) async fn fold(client: &impl GenericClient) -> Result<u64, Fault> {
    let fold = client.prepare_cached(FOLD).await?;
    Ok(client.execute(&fold, &[]).await?)
}
