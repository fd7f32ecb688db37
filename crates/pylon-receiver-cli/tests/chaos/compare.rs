//! After the last round: whether everything that was acknowledged is kept and has arrived.

use crate::app::App;
use crate::load::{self, Acknowledged};
use crate::process::http::Client;
use crate::process::{Process, SECRET};
use pylon_webhooks::Secret;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

/// Everything that is left must have arrived by then.
const DRAINS_WITHIN: Duration = Duration::from_secs(300);
const STOPS_WITHIN: Duration = Duration::from_secs(40);
/// So many of the ids that were sent under deduplication are sent once more, after all the kills.
const SENT_AGAIN: usize = 200;

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// What must not be.
    pub(crate) faults: Vec<String>,
    acknowledged: usize,
    statuses: BTreeMap<u16, u64>,
    stored: u64,
    delivered: usize,
    duplicates: u64,
    failed: u64,
    hung_up: u64,
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { acknowledged, statuses, stored, delivered, duplicates, failed, hung_up, faults } = self;
        let unacknowledged = stored.saturating_sub(*acknowledged as u64);
        write!(
            f,
            "{acknowledged} events acknowledged, {} faults, {stored} stored ({unacknowledged} of them before the answer could \
             be read), {delivered} delivered, {duplicates} deliveries more than one each, {failed} attempts answered 500, \
             {hung_up} not answered; answers by status: {statuses:?}",
            faults.len()
        )
    }
}

/// Starts once more, lets everything arrive, and compares.
pub(crate) fn compare(config: &Path, app: &App, mut acknowledged: Acknowledged) -> Found {
    let mut receiver = Process::start(config);
    let mut found = Found::default();
    if let Err(error) = ask(&receiver, &mut acknowledged, &mut found) {
        found.faults.push(format!("the receiver could not be asked: {error}"));
    }
    let status = receiver.stop(STOPS_WITHIN);
    if !status.success() {
        found.faults.push(format!("expected the receiver to end with 0 after SIGTERM, found {status}"));
    }
    let seen = app.seen();
    for id in acknowledged.events.keys().filter(|id| !seen.taken.contains_key(*id)) {
        found.faults.push(format!("{id}: acknowledged, and never delivered"));
    }
    found.faults.append(&mut acknowledged.faults);
    found.faults.extend(seen.faults);
    found.acknowledged = acknowledged.events.len();
    found.statuses = acknowledged.statuses;
    found.delivered = seen.taken.len();
    found.duplicates = seen.taken.values().map(|count| count - 1).sum();
    (found.failed, found.hung_up) = (seen.failed, seen.hung_up);
    found
}

/// What only a receiver at work can tell.
fn ask(receiver: &Process, acknowledged: &mut Acknowledged, found: &mut Found) -> io::Result<()> {
    send_again(receiver, acknowledged)?;
    let mut admin = Client::connect(receiver.admin)?;
    drain(&mut admin, found)?;
    for (id, events) in &acknowledged.events {
        let distinct: BTreeSet<&String> = events.iter().collect();
        if distinct.len() > 1 {
            found.faults.push(format!("{id}: expected one event for copies of one request, found {}", distinct.len()));
        }
        for event in distinct {
            match admin.get(&format!("/api/events/{event}")) {
                Ok(detail) => found.faults.extend(fault_of(id, event, &detail)),
                Err(error) => found.faults.push(format!("{id}: acknowledged as event {event}, and not kept: {error}")),
            }
        }
    }
    Ok(())
}

/// Sends some of what was acknowledged under deduplication again: the answer has to name the event that was kept then.
fn send_again(receiver: &Process, acknowledged: &mut Acknowledged) -> io::Result<()> {
    let secret = Secret::new(SECRET).map_err(io::Error::other)?;
    let mut client = Client::connect(receiver.webhooks)?;
    let known = |id: &&String| acknowledged.events.contains_key(*id);
    let ids: Vec<String> = acknowledged.by_pointer.iter().filter(known).take(SENT_AGAIN).cloned().collect();
    for id in ids {
        let answered = client.post_signed(load::BY_POINTER, &secret, load::body(&id).as_bytes())?;
        acknowledged.add(&id, answered);
    }
    Ok(())
}

/// Waits until nothing is left to be delivered.
fn drain(admin: &mut Client, found: &mut Found) -> io::Result<()> {
    let begin = Instant::now();
    loop {
        let stats = admin.get("/api/stats")?;
        let sum = |name: &str| -> u64 {
            let destinations = stats["destinations"].as_array().map(Vec::as_slice).unwrap_or_default();
            destinations.iter().filter_map(|destination| destination[name].as_u64()).sum()
        };
        let left = sum("waiting") + sum("held") + sum("delivering");
        if left == 0 || begin.elapsed() > DRAINS_WITHIN {
            if left > 0 {
                found.faults.push(format!("expected everything to arrive within {DRAINS_WITHIN:?}, found {left} left"));
            }
            if sum("dead") > 0 {
                found.faults.push(format!("expected no delivery to be given up, found {} dead", sum("dead")));
            }
            let events = stats["events"].as_u64();
            found.stored = events.ok_or_else(|| io::Error::other("expected `events` in the statistics, found none"))?;
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// What is wrong with a stored event.
fn fault_of(id: &str, event: &str, detail: &Value) -> Option<String> {
    let body = load::body(id);
    (stored_body(detail).as_deref() != Some(body.as_bytes()))
        .then(|| format!("{id}: expected event {event} to be kept with the bytes that were sent, found others"))
}

/// The body as the admin API tells it: as text where it is text.
fn stored_body(detail: &Value) -> Option<Vec<u8>> {
    Some(detail.get("body")?.get("text")?.as_str()?.as_bytes().to_vec())
}
