//! After the last round: whether everything that was acknowledged is kept, was delivered, in order, and settled once.

use crate::app::{App, Seen};
use crate::house::House;
use crate::load::{Acknowledged, Id};
use crate::process::http::Client;
use crate::receivers::Receivers;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::{self, Write};
use std::io;
use std::time::{Duration, Instant};

/// Everything that is left must have arrived by then; leases of who was killed are among it.
const DRAINS_WITHIN: Duration = Duration::from_secs(300);
/// So many events are asked for by the admin API too.
const ASKED: usize = 300;
/// What a receiver writes when a lease had run out.
const TOO_LATE: &str = "the lease had run out before the attempt ended";
/// What is not answered with 200 may be because the disk is full: then the server that is back waits for its standby for a while,
/// and a spool is not for a missing standby.
const MAY_REFUSE: &str = "the disk is full, spools";

/// Kept events: the id, the SHA-256 of the body, the id in the body.
const KEPT: &str = "SELECT id, encode(sha256(body), 'hex'), substring(convert_from(body, 'UTF8') FROM '\"issue_id\": \"([^\"]*)\"') FROM events";
/// Events that have not exactly one delivery, which was delivered.
const NOT_ONCE: &str = "SELECT events.id, count(finished.*), count(*) FILTER (WHERE finished.state = 3)
    FROM events LEFT JOIN finished ON finished.event_id = events.id
    GROUP BY events.id HAVING count(finished.*) <> 1 OR count(*) FILTER (WHERE finished.state = 3) <> 1";
/// Deliveries whose attempts do not end with the one that succeeded, which is the only one.
const AFTERWARDS: &str = "SELECT finished.event_id, finished.attempts, coalesce(max(attempts.attempt), 0),
        count(*) FILTER (WHERE attempts.status = 200), count(attempts.*) > finished.attempts
    FROM finished LEFT JOIN attempts ON attempts.event_id = finished.event_id AND attempts.number = finished.number
    GROUP BY finished.event_id, finished.number, finished.attempts
    HAVING coalesce(max(attempts.attempt), 0) <> finished.attempts OR count(*) FILTER (WHERE attempts.status = 200) <> 1
        OR coalesce(max(attempts.attempt) FILTER (WHERE attempts.status = 200), 0) <> finished.attempts
        OR count(attempts.*) > finished.attempts";

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// What must not be.
    pub(crate) faults: Vec<String>,
    acknowledged: usize,
    statuses: BTreeMap<(String, u16), u64>,
    unanswered: u64,
    kept: usize,
    resolved: usize,
    delivered: usize,
    duplicates: u64,
    failed: u64,
    hung_up: u64,
    lines: usize,
    in_order: usize,
    too_late: usize,
    drained: Duration,
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            acknowledged,
            kept,
            resolved,
            delivered,
            duplicates,
            failed,
            hung_up,
            lines,
            in_order,
            too_late,
            ..
        } = self;
        let mut refused = String::new();
        for ((trouble, status), count) in self.statuses.iter().filter(|((_, status), _)| *status != 200) {
            write!(refused, " {count} times {status} while {trouble};")?;
        }
        let accepted: u64 =
            self.statuses.iter().filter(|((_, status), _)| *status == 200).map(|(_, count)| count).sum();
        write!(
            f,
            "{acknowledged} requests acknowledged, {} faults, {kept} events kept, {resolved} acknowledged by a spool and found to \
             be duplicates, {delivered} delivered, {duplicates} deliveries more than one each, {in_order} in order in {lines} lines, \
             {too_late} settlements turned away because the lease had run out, {failed} attempts answered 500, {hung_up} not \
             answered; {accepted} answers of 200, {} requests without an answer, refused:{}; drained in {:.1} s",
            self.faults.len(),
            self.unanswered,
            if refused.is_empty() { " none;" } else { &refused },
            self.drained.as_secs_f64()
        )
    }
}

/// Lets everything arrive, stops the receivers, and compares.
pub(crate) fn compare(house: &House, receivers: &Receivers, app: &App, mut acknowledged: Acknowledged) -> Found {
    let mut found = Found::default();
    let begin = Instant::now();
    while !is_drained(house, &acknowledged) {
        if begin.elapsed() > DRAINS_WITHIN {
            found.faults.push(format!(
                "expected everything to arrive within {DRAINS_WITHIN:?}, found left (destination, state, line, count, due in ms): {}",
                house.sql("SELECT destination, state, line IS NOT NULL, count(*), min(due_at) - (SELECT tick()) FROM open GROUP BY 1, 2, 3")
            ));
            break;
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    found.drained = begin.elapsed();
    if let Err(error) = ask(house, receivers, &acknowledged, &mut found) {
        found.faults.push(format!("a receiver could not be asked: {error}"));
    }
    receivers.stop_all(&mut found.faults);
    found.faults.append(&mut acknowledged.faults);
    let seen = app.seen();
    look_at_kept(house, &acknowledged, &seen, &mut found);
    look_at_settlements(house, &seen, &mut found);
    look_at_lines(&acknowledged, &seen, &mut found);
    for ((trouble, status), count) in &acknowledged.statuses {
        if *status != 200 && trouble.ends_with("spools") && trouble != MAY_REFUSE {
            found
                .faults
                .push(format!("expected no refused request with spools, found {count} times {status} while {trouble}"));
        }
    }
    found.acknowledged = acknowledged.events.len();
    found.statuses = acknowledged.statuses;
    found.unanswered = acknowledged.unanswered;
    found.delivered = seen.arrived.values().filter(|arrived| arrived.taken > 0).count();
    found.duplicates = seen.arrived.values().map(|arrived| arrived.taken.saturating_sub(1)).sum();
    (found.failed, found.hung_up) = (seen.failed, seen.hung_up);
    found.too_late = receivers.logged(TOO_LATE);
    found.faults.extend(seen.faults);
    found
}

/// Whether nothing is left to be delivered, and nothing that was acknowledged is still in a spool.
fn is_drained(house: &House, acknowledged: &Acknowledged) -> bool {
    if house.sql("SELECT count(*) FROM open") != "0" {
        return false;
    }
    let kept = kept(house);
    let known: BTreeSet<&String> = kept.values().map(|(_, id)| id).collect();
    acknowledged.by_spool.iter().all(|id| known.contains(id)) && house.sql("SELECT count(*) FROM open") == "0"
}

/// Kept events: hash and id of the body by the event's id.
fn kept(house: &House) -> HashMap<String, (String, String)> {
    let rows = house.sql(KEPT);
    let rows = rows.lines().map(|row| row.split('|').map(str::to_owned).collect::<Vec<_>>());
    rows.filter_map(|row| <[String; 3]>::try_from(row).ok()).map(|[event, hash, id]| (event, (hash, id))).collect()
}

/// What only a receiver at work can tell.
fn ask(house: &House, receivers: &Receivers, acknowledged: &Acknowledged, found: &mut Found) -> io::Result<()> {
    let mut admin = Client::connect(receivers.admin(0))?;
    let stats = admin.get("/api/stats")?;
    let events = house.sql("SELECT count(*) FROM events");
    let told = stats["events"].to_string();
    if told != events {
        found.faults.push(format!("expected the statistics to tell {events} events, found {told}"));
    }
    for destination in stats["destinations"].as_array().map(Vec::as_slice).unwrap_or_default() {
        let left: u64 =
            ["waiting", "held", "delivering", "dead"].iter().filter_map(|name| destination[name].as_u64()).sum();
        if left > 0 {
            found
                .faults
                .push(format!("expected the statistics to tell that nothing is left or dead, found {destination}"));
        }
    }
    let events = acknowledged.events.iter().filter(|(id, _)| !acknowledged.by_spool.contains(id));
    for (id, event) in events.take(ASKED).flat_map(|(id, events)| events.iter().map(move |event| (id, event))) {
        match admin.get(&format!("/api/events/{event}")) {
            Ok(detail) => {
                let is_same = detail["body"]["text"].as_str().and_then(|text| Id::of_body(text.as_bytes()));
                if is_same.map(|id| id.to_string()).as_ref() != Some(id) {
                    found.faults.push(format!("{id}: expected event {event} to be kept with its body, found another"));
                }
            }
            Err(error) => found.faults.push(format!("{id}: acknowledged as event {event}, and not kept: {error}")),
        }
    }
    Ok(())
}

fn look_at_kept(house: &House, acknowledged: &Acknowledged, seen: &Seen, found: &mut Found) {
    let kept = kept(house);
    let by_spool: BTreeSet<&String> = acknowledged.by_spool.iter().collect();
    let known: BTreeSet<&String> = kept.values().map(|(_, id)| id).collect();
    found.kept = kept.len();
    for (event, (hash, id)) in &kept {
        let expected = Id::of_body(format!("\"issue_id\": \"{id}\"").as_bytes()).map(|id| Sha256::digest(id.body()));
        let expected = expected.iter().flatten().fold(String::new(), |text, byte| text + &format!("{byte:02x}"));
        if *hash != expected {
            found
                .faults
                .push(format!("{id}: expected event {event} to be kept with the bytes that were sent, found others"));
        }
    }
    let mut counts = HashMap::<&String, u64>::new();
    kept.values().for_each(|(_, id)| *counts.entry(id).or_default() += 1);
    for (id, count) in counts.iter().filter(|(_, count)| **count > 1) {
        found.faults.push(format!("{id}: expected one event for copies of one request, found {count}"));
    }
    for (id, events) in &acknowledged.events {
        let events: BTreeSet<&String> = events.iter().collect();
        let lost: Vec<_> = events.iter().filter(|event| !kept.contains_key(**event)).collect();
        // A spool cannot know what is a duplicate; the event that it has named is taken for one later.
        if by_spool.contains(id) && known.contains(id) {
            found.resolved += lost.len();
        } else if !lost.is_empty() || events.len() > 1 {
            found.faults.push(format!("{id}: acknowledged as {events:?}, of which are not kept: {lost:?}"));
        }
        if seen.arrived.get(id).is_none_or(|arrived| arrived.taken == 0) {
            found.faults.push(format!("{id}: acknowledged, and never delivered"));
        }
    }
}

fn look_at_settlements(house: &House, seen: &Seen, found: &mut Found) {
    for row in house.sql(NOT_ONCE).lines() {
        found
            .faults
            .push(format!("expected one delivery of each event, delivered, found (event, all, delivered): {row}"));
    }
    for row in house.sql(AFTERWARDS).lines() {
        found.faults.push(format!(
            "expected the last attempt of each delivery to be the one that succeeded, found (event, attempts, last one noted, those \
             that succeeded, more notes than attempts): {row}"
        ));
    }
    let answered: BTreeSet<(&str, u32)> = seen
        .arrived
        .values()
        .flat_map(|arrived| arrived.attempts.iter().map(|(event, attempt)| (event.as_str(), *attempt)))
        .collect();
    for row in house.sql("SELECT event_id, attempts FROM finished WHERE state = 3").lines() {
        let settled = row.split_once('|').and_then(|(event, attempt)| Some((event, attempt.parse().ok()?)));
        if settled.is_none_or(|settled| !answered.contains(&settled)) {
            found.faults.push(format!(
                "expected the attempt that ended a delivery to be one that was answered 200, found {row}"
            ));
        }
    }
}

/// What is first in a line must have been taken before what is behind it comes at all.
fn look_at_lines(acknowledged: &Acknowledged, seen: &Seen, found: &mut Found) {
    found.lines = acknowledged.lines.len();
    for (line, ids) in &acknowledged.lines {
        let mut before: Option<(&String, u64)> = None;
        for id in ids {
            let Some(arrived) = seen.arrived.get(id) else { continue };
            if let Some((earlier, taken)) = before
                && arrived.first < taken
            {
                found.faults.push(format!("{id}: overtook {earlier} in the line {line}"));
            }
            found.in_order += 1;
            let taken = arrived.first_taken.unwrap_or(u64::MAX);
            if before.is_none_or(|(_, latest)| taken > latest) {
                before = Some((id, taken));
            }
        }
    }
}
