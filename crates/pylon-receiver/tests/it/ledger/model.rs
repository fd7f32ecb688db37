//! A ledger as plainly as it can be written: lists, gone through from one end to the other. What it does is right.

use bytes::Bytes;
use pylon_receiver::ledger::*;
use pylon_receiver::{DeliveryId, EventId, Headers, Moment};
use pylon_webhooks::names_match;
use std::collections::BTreeSet;
use std::sync::Arc;

#[derive(Debug, Clone)]
pub(crate) struct Model {
    /// In the order of arrival.
    events: Vec<Event>,
    /// In the order in which they were made, those of all events together.
    deliveries: Vec<Delivery>,
    keys: Vec<Key>,
    refused: Vec<RefusedRecord>,
    most_refused: usize,
    last_refused: u64,
    last_token: i64,
}

#[derive(Debug, Clone)]
struct Event {
    id: EventId,
    endpoint: Arc<str>,
    kind: Box<str>,
    headers: Headers,
    body: Bytes,
    parked: Option<String>,
}

#[derive(Debug, Clone)]
struct Delivery {
    id: DeliveryId,
    destination: Arc<str>,
    order_key: Option<Box<str>>,
    state: DeliveryState,
    attempts: u32,
    created_at: Moment,
    due_at: Moment,
    /// The token, and when the lease runs out.
    lease: Option<(i64, Moment)>,
    finished_at: Option<Moment>,
    redelivery_of: Option<u32>,
    reason: Option<String>,
    log: Vec<AttemptRecord>,
}

#[derive(Debug, Clone)]
struct Key {
    endpoint: Arc<str>,
    key: Box<str>,
    event: EventId,
    expires_at: Option<Moment>,
}

/// What the model says of a delivery whose attempts are used up; a ledger may say it in its own words.
pub(crate) const EXHAUSTED: &str = "exhausted";

impl Model {
    pub(crate) fn new(most_refused: usize) -> Self {
        Self {
            events: Vec::new(),
            deliveries: Vec::new(),
            keys: Vec::new(),
            refused: Vec::new(),
            most_refused,
            last_refused: 0,
            last_token: 0,
        }
    }

    /// The process ends and another one starts.
    pub(crate) fn crash(&mut self) {
        for delivery in &mut self.deliveries {
            if delivery.state == DeliveryState::Delivering {
                // Due since it was due when it was claimed.
                delivery.wait_until(delivery.due_at);
            }
        }
    }

    pub(crate) fn record(&mut self, event: NewEvent) -> Result<Recorded, LedgerError> {
        let now = event.id.received_at();
        if let Some(DeduplicationKey { key, expires_at }) = event.deduplication {
            let is_same = |known: &Key| known.key == key && known.endpoint == event.endpoint;
            if let Some(known) = self.keys.iter().find(|known| is_same(known))
                && known.expires_at.is_none_or(|expiry| expiry > now)
            {
                return Ok(Recorded::Duplicate(known.event));
            }
            self.refuse_known(event.id)?;
            self.keys.retain(|known| !is_same(known));
            self.keys.push(Key { endpoint: event.endpoint.clone(), key, event: event.id, expires_at });
        }
        self.refuse_known(event.id)?;
        self.events.push(Event {
            id: event.id,
            endpoint: event.endpoint,
            kind: event.kind,
            headers: event.headers,
            body: event.body.into_inner().into_bytes(),
            parked: event.parked.map(String::from),
        });
        for delivery in event.deliveries {
            self.add(event.id, delivery, None, now);
        }
        Ok(Recorded::Stored)
    }

    fn refuse_known(&self, id: EventId) -> Result<(), LedgerError> {
        match self.events.iter().any(|event| event.id == id) {
            true => Err(LedgerError::Failed("the event is kept already".into())),
            false => Ok(()),
        }
    }

    /// Puts a delivery at the end: of its event's, of its line, of everything.
    fn add(&mut self, event: EventId, delivery: NewDelivery, redelivery_of: Option<u32>, now: Moment) {
        let number = self.deliveries.iter().filter(|other| other.id.event == event).count() as u32 + 1;
        self.deliveries.push(Delivery {
            id: DeliveryId { event, number },
            destination: delivery.destination,
            order_key: delivery.order_key,
            state: DeliveryState::Held,
            attempts: 0,
            created_at: now,
            due_at: now,
            lease: None,
            finished_at: None,
            redelivery_of,
            reason: None,
            log: Vec::new(),
        });
        self.move_up(now);
    }

    /// Whatever is held and has nothing unfinished before it in its line is waiting, due at once.
    fn move_up(&mut self, now: Moment) {
        for index in 0..self.deliveries.len() {
            let delivery = &self.deliveries[index];
            let is_behind = delivery.order_key.is_some()
                && self.deliveries[..index].iter().any(|before| {
                    before.destination == delivery.destination
                        && before.order_key == delivery.order_key
                        && before.state.is_unfinished()
                });
            if delivery.state == DeliveryState::Held && !is_behind {
                self.deliveries[index].state = DeliveryState::Waiting;
                self.deliveries[index].due_at = now;
            }
        }
    }

    pub(crate) fn keep_refused(&mut self, refused: NewRefused) {
        self.last_refused += 1;
        self.refused.push(RefusedRecord {
            number: self.last_refused,
            at: refused.at,
            endpoint: refused.endpoint.map(|endpoint| endpoint.to_string()),
            code: refused.code.to_owned(),
            reason: refused.reason.into(),
            status: refused.status,
            method: refused.method.into(),
            path: refused.path.into(),
            remote: refused.remote.into(),
            headers: refused.headers,
            body: refused.body,
            body_length: refused.body_length,
        });
        let surplus = self.refused.len().saturating_sub(self.most_refused);
        self.refused.drain(..surplus);
    }

    pub(crate) fn claim(&mut self, claim: &Claim) -> Claimed {
        for delivery in &mut self.deliveries {
            if let Some((_, until)) = delivery.lease
                && delivery.destination == claim.destination
                && until <= claim.now
            {
                delivery.wait_until(delivery.due_at.min(until));
            }
        }
        let lease_end = self.of_destination(&claim.destination).filter_map(|(_, other)| Some(other.lease?.1)).min();
        let mut claimed = Claimed::default();
        while claimed.deliveries.len() < claim.limit {
            let Some(index) = self.longest_due(claim) else { break };
            let delivery = &mut self.deliveries[index];
            if delivery.attempts >= claim.most_attempts {
                claimed.exhausted.push(delivery.id);
                delivery.finish(DeliveryState::Dead, claim.now);
                delivery.reason = Some(EXHAUSTED.into());
                self.move_up(claim.now);
                continue;
            }
            self.last_token += 1;
            delivery.attempts += 1;
            delivery.state = DeliveryState::Delivering;
            delivery.lease = Some((self.last_token, claim.lease_until));
            let delivery = &self.deliveries[index];
            let event = self.events.iter().find(|event| event.id == delivery.id.event).unwrap();
            claimed.deliveries.push(LeasedDelivery {
                lease: Lease { delivery: delivery.id, token: self.last_token },
                attempt: delivery.attempts,
                endpoint: event.endpoint.clone(),
                kind: event.kind.clone(),
                headers: event.headers.clone(),
                body: event.body.clone(),
                redelivery_of: delivery.redelivery_of,
                created_at: delivery.created_at,
            });
        }
        let waiting =
            self.of_destination(&claim.destination).filter(|(_, other)| other.state == DeliveryState::Waiting);
        // What has been due for long is due now, and so is what only seems to be due late.
        let due = waiting.map(|(_, other)| if is_due(other, claim) { claim.now } else { other.due_at });
        claimed.next_due = due.chain(lease_end).min();
        claimed
    }

    fn of_destination<'a>(&'a self, destination: &'a str) -> impl Iterator<Item = (usize, &'a Delivery)> {
        self.deliveries.iter().enumerate().filter(move |(_, delivery)| *delivery.destination == *destination)
    }

    /// Of those that have been due equally long, the one made first.
    fn longest_due(&self, claim: &Claim) -> Option<usize> {
        let due = self.of_destination(&claim.destination).filter(|(_, delivery)| is_due(delivery, claim));
        due.min_by_key(|(index, delivery)| (delivery.due_at, *index)).map(|(index, _)| index)
    }

    pub(crate) fn renew(&mut self, leases: &[Lease], until: Moment) -> Vec<bool> {
        let renew = |lease: &Lease| match self.leased(*lease) {
            Some(delivery) => {
                delivery.lease = Some((lease.token, until));
                true
            }
            None => false,
        };
        leases.iter().map(renew).collect()
    }

    /// The delivery, as long as it is this lease that it has.
    fn leased(&mut self, lease: Lease) -> Option<&mut Delivery> {
        self.deliveries.iter_mut().find(|delivery| {
            delivery.id == lease.delivery && delivery.lease.is_some_and(|(token, _)| token == lease.token)
        })
    }

    pub(crate) fn settle(&mut self, settlement: Settlement) -> Settled {
        let Some(delivery) = self.leased(settlement.lease) else { return Settled::Fenced };
        let detail = settlement.attempt.as_ref().map(|attempt| attempt.detail.to_string());
        if let Some(attempt) = settlement.attempt {
            // What did not count is told until the attempt that does.
            delivery.log.retain(|logged| logged.attempt != delivery.attempts);
            delivery.log.push(AttemptRecord {
                attempt: delivery.attempts,
                started_at: attempt.started_at,
                took_milliseconds: attempt.took.as_millis() as u64,
                status: attempt.status,
                detail: attempt.detail.into(),
            });
        }
        match settlement.verdict {
            Verdict::Delivered => {
                delivery.finish(DeliveryState::Delivered, settlement.at);
                delivery.reason = None;
            }
            Verdict::Dead(reason) => {
                delivery.finish(DeliveryState::Dead, settlement.at);
                delivery.reason =
                    Some(detail.map_or_else(|| reason.to_string(), |detail| format!("{reason}: {detail}")));
            }
            Verdict::RetryAt(moment) => {
                delivery.wait_until(moment);
                delivery.reason = detail;
            }
            Verdict::Released => {
                delivery.attempts -= 1;
                delivery.wait_until(settlement.at);
                delivery.reason = detail;
            }
        }
        self.move_up(settlement.at);
        Settled::Recorded
    }

    pub(crate) fn redeliver(&mut self, events: &[EventId], destination: Option<&Arc<str>>, now: Moment) -> u64 {
        let mut made = 0;
        for &event in events {
            if !self.events.iter().any(|known| known.id == event) {
                continue;
            }
            let mut destinations: Vec<Arc<str>> = Vec::new();
            for delivery in self.deliveries.iter().filter(|delivery| delivery.id.event == event) {
                if !destinations.contains(&delivery.destination) {
                    destinations.push(delivery.destination.clone());
                }
            }
            if let Some(destination) = destination {
                destinations = vec![destination.clone()];
            }
            for destination in destinations {
                let mut repeated = None;
                let mut order_key = None;
                for delivery in &mut self.deliveries {
                    if delivery.id.event == event && delivery.destination == destination {
                        repeated = Some(delivery.id.number);
                        order_key = delivery.order_key.clone();
                        if delivery.state == DeliveryState::Dead {
                            delivery.state = DeliveryState::Redelivered;
                        }
                    }
                }
                self.add(event, NewDelivery { destination, order_key }, repeated, now);
                made += 1;
            }
        }
        made
    }

    pub(crate) fn redeliver_dead(&mut self, deliveries: &[DeliveryId], now: Moment) -> u64 {
        let mut made = 0;
        for &id in deliveries {
            let Some(dead) = self.dead(id) else { continue };
            dead.state = DeliveryState::Redelivered;
            let again = NewDelivery { destination: dead.destination.clone(), order_key: dead.order_key.clone() };
            self.add(id.event, again, Some(id.number), now);
            made += 1;
        }
        made
    }

    pub(crate) fn drop_dead(&mut self, deliveries: &[DeliveryId], now: Moment) -> u64 {
        let mut dropped = 0;
        for &id in deliveries {
            if let Some(dead) = self.dead(id) {
                dead.finish(DeliveryState::Dropped, now);
                dropped += 1;
            }
        }
        dropped
    }

    fn dead(&mut self, id: DeliveryId) -> Option<&mut Delivery> {
        self.deliveries.iter_mut().find(|delivery| delivery.id == id && delivery.state == DeliveryState::Dead)
    }

    /// All at one call.
    pub(crate) fn prune(&mut self, received_before: Moment, now: Moment) -> Pruned {
        let forgotten: Vec<EventId> = self
            .events
            .iter()
            .map(|event| event.id)
            .filter(|&id| id.received_at() < received_before)
            .filter(|&id| !matches!(self.state_of(id), EventState::Pending | EventState::Dead | EventState::Parked))
            .collect();
        self.events.retain(|event| !forgotten.contains(&event.id));
        self.deliveries.retain(|delivery| !forgotten.contains(&delivery.id.event));
        self.keys.retain(|key| match key.expires_at {
            Some(expiry) => expiry > now,
            None => !forgotten.contains(&key.event),
        });
        Pruned { events: forgotten.len() as u64, more: false }
    }

    fn state_of(&self, id: EventId) -> EventState {
        let is_parked = self.events.iter().any(|event| event.id == id && event.parked.is_some());
        EventState::of(is_parked, self.deliveries_of(id).map(|delivery| delivery.state))
    }

    fn deliveries_of(&self, id: EventId) -> impl Iterator<Item = &Delivery> {
        self.deliveries.iter().filter(move |delivery| delivery.id.event == id)
    }

    fn record_of(&self, event: &Event) -> EventRecord {
        EventRecord {
            id: event.id,
            received_at: event.id.received_at(),
            endpoint: event.endpoint.to_string(),
            kind: event.kind.to_string(),
            state: self.state_of(event.id),
            parked: event.parked.clone(),
            body_length: event.body.len() as u64,
            deliveries: self.deliveries_of(event.id).count() as u32,
        }
    }

    fn delivery_record_of(&self, delivery: &Delivery) -> DeliveryRecord {
        let event = self.events.iter().find(|event| event.id == delivery.id.event).unwrap();
        DeliveryRecord {
            id: delivery.id,
            destination: delivery.destination.to_string(),
            kind: event.kind.to_string(),
            state: delivery.state,
            attempts: delivery.attempts,
            created_at: delivery.created_at,
            due_at: (delivery.state == DeliveryState::Waiting).then_some(delivery.due_at),
            finished_at: delivery.finished_at,
            order_key: delivery.order_key.as_deref().map(str::to_owned),
            redelivery_of: delivery.redelivery_of,
            reason: delivery.reason.clone(),
        }
    }

    pub(crate) fn events(&self, filter: &EventFilter, page: Page<EventId>) -> Vec<EventRecord> {
        let matching = self.events.iter().filter(|event| {
            is_in_range(event.id, filter.since, filter.until)
                && filter.kind.as_ref().is_none_or(|kind| names_match(kind, &event.kind))
                && filter.endpoint.as_ref().is_none_or(|endpoint| **endpoint == *event.endpoint)
                && filter.state.is_none_or(|state| state == self.state_of(event.id))
                && filter.contains.as_ref().is_none_or(|text| has(&event.body, text.as_bytes()))
        });
        on_page(matching.map(|event| self.record_of(event)).collect(), page, |record| record.id)
    }

    pub(crate) fn event(&self, id: EventId) -> Option<EventDetail> {
        let event = self.events.iter().find(|event| event.id == id)?;
        Some(EventDetail {
            record: self.record_of(event),
            headers: event.headers.clone(),
            body: event.body.clone(),
            deliveries: self
                .deliveries_of(id)
                .map(|delivery| (self.delivery_record_of(delivery), delivery.log.clone()))
                .collect(),
        })
    }

    pub(crate) fn deliveries(&self, filter: &DeliveryFilter, page: Page<DeliveryId>) -> Vec<DeliveryRecord> {
        let matching = self.deliveries.iter().filter(|delivery| {
            is_in_range(delivery.id.event, filter.since, filter.until)
                && filter.event.is_none_or(|event| event == delivery.id.event)
                && filter.destination.as_ref().is_none_or(|destination| **destination == *delivery.destination)
                && filter.state.is_none_or(|state| state == delivery.state)
        });
        on_page(matching.map(|delivery| self.delivery_record_of(delivery)).collect(), page, |record| record.id)
    }

    pub(crate) fn refused(&self, filter: &RefusedFilter, page: Page<u64>) -> Vec<RefusedRecord> {
        let matching = self.refused.iter().filter(|refused| {
            filter.endpoint.as_ref().is_none_or(|endpoint| refused.endpoint.as_ref() == Some(endpoint))
                && filter.code.as_ref().is_none_or(|code| refused.code == *code)
        });
        on_page(matching.cloned().collect(), page, |record| record.number)
    }

    pub(crate) fn stats(&self, now: Moment) -> Stats {
        let names: BTreeSet<&str> = self.deliveries.iter().map(|delivery| &*delivery.destination).collect();
        let of_destination = |name: &str| {
            let ours = || self.deliveries.iter().filter(|delivery| *delivery.destination == *name);
            let count = |state| ours().filter(|delivery| delivery.state == state).count() as u64;
            DestinationStats {
                destination: name.to_owned(),
                waiting: count(DeliveryState::Waiting),
                held: count(DeliveryState::Held),
                delivering: count(DeliveryState::Delivering),
                dead: count(DeliveryState::Dead),
                oldest_due_at: ours()
                    .filter(|delivery| delivery.state == DeliveryState::Waiting && delivery.due_at <= now)
                    .map(|delivery| delivery.due_at)
                    .min(),
            }
        };
        Stats {
            events: self.events.len() as u64,
            parked: self.events.iter().filter(|event| event.parked.is_some()).count() as u64,
            refused: self.refused.len() as u64,
            ledger_bytes: self.events.iter().map(|event| 100 + event.body.len() as u64).sum(),
            destinations: names
                .into_iter()
                .map(of_destination)
                .filter(|of| of.waiting + of.held + of.delivering + of.dead > 0)
                .collect(),
        }
    }
}

impl Delivery {
    fn wait_until(&mut self, moment: Moment) {
        self.state = DeliveryState::Waiting;
        self.due_at = moment;
        self.lease = None;
    }

    fn finish(&mut self, state: DeliveryState, at: Moment) {
        self.state = state;
        self.finished_at = Some(at);
        self.lease = None;
    }
}

fn is_due(delivery: &Delivery, claim: &Claim) -> bool {
    delivery.state == DeliveryState::Waiting && (delivery.due_at <= claim.now || delivery.due_at > claim.latest_due)
}

fn is_in_range(event: EventId, since: Option<Moment>, until: Option<Moment>) -> bool {
    let received_at = event.received_at();
    since.is_none_or(|since| received_at >= since) && until.is_none_or(|until| received_at < until)
}

fn has(body: &[u8], text: &[u8]) -> bool {
    text.is_empty() || body.windows(text.len()).any(|window| window == text)
}

fn on_page<T, K: Ord + Copy>(mut records: Vec<T>, page: Page<K>, name: impl Fn(&T) -> K) -> Vec<T> {
    records.sort_by_key(&name);
    if page.order == Order::NewestFirst {
        records.reverse();
    }
    records.retain(|record| match (page.after, page.order) {
        (None, _) => true,
        (Some(after), Order::OldestFirst) => name(record) > after,
        (Some(after), Order::NewestFirst) => name(record) < after,
    });
    records.truncate(page.limit as usize);
    records
}
