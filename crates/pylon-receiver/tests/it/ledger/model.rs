//! A ledger as plainly as it can be written: lists, gone through from one end to the other. What it does is right.

use bytes::Bytes;
use pylon_receiver::ledger::*;
use pylon_receiver::{DeliveryId, EventId, Headers, Moment};
use pylon_webhooks::names_match;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

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
    orders: Vec<Ordered>,
    last_order: u64,
    last_token: u128,
    /// The ledger's time, at the last change, and how far it was ahead of the clock.
    latest: Moment,
    ahead: i64,
    now: Now,
    /// Who prunes, and until when.
    pruner: Option<(Owner, Moment)>,
    woken: Vec<Arc<str>>,
}

/// The present: by the clock, and by the ledger's time, which never goes back.
#[derive(Debug, Clone, Copy)]
struct Now {
    wall: Moment,
    tick: Moment,
    ahead: i64,
}

/// For how long an owner that does not ask again keeps others from pruning.
const OWNED_FOR: Duration = Duration::from_secs(180);

#[derive(Debug, Clone)]
struct Event {
    id: EventId,
    endpoint: Arc<str>,
    name: Box<str>,
    kind: Option<Box<str>>,
    method: Box<str>,
    target: Box<str>,
    query: Option<Box<str>>,
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
    /// Those of the attempts that do not count.
    uncounted: u32,
    interruptions: u32,
    is_repeat: bool,
    created_at: Moment,
    /// In the ledger's time.
    due_at: Moment,
    lease: Option<Leased>,
    finished_at: Option<Moment>,
    redelivery_of: Option<u32>,
    reason: Option<String>,
    code: Option<String>,
    order: Option<u64>,
    log: Vec<AttemptRecord>,
}

/// An order, the key that it is known by, and until when it is under way without a word (in the ledger's time).
#[derive(Debug, Clone)]
struct Ordered {
    key: Box<str>,
    record: OrderRecord,
    until: Moment,
}

#[derive(Debug, Clone, Copy)]
struct Leased {
    token: u128,
    owner: Owner,
    /// In the ledger's time.
    until: Moment,
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
        let first = Moment::from_unix_milliseconds(0);
        Self {
            latest: first,
            ahead: 0,
            now: Now { wall: first, tick: first, ahead: 0 },
            pruner: None,
            woken: Vec::new(),
            events: Vec::new(),
            deliveries: Vec::new(),
            keys: Vec::new(),
            refused: Vec::new(),
            most_refused,
            last_refused: 0,
            orders: Vec::new(),
            last_order: 0,
            last_token: 0,
        }
    }

    /// Makes this moment of the clock the present.
    pub(crate) fn look_at(&mut self, wall: Moment) {
        let tick = Moment::from_unix_milliseconds(wall.unix_milliseconds() + self.ahead).max(self.latest);
        self.now = Now { wall, tick, ahead: tick.unix_milliseconds() - wall.unix_milliseconds() };
    }

    /// Time does not go back behind the present any more.
    pub(crate) fn pass(&mut self) {
        (self.latest, self.ahead) = (self.now.tick, self.now.ahead);
    }

    fn wall_at(&self, tick: Moment) -> Moment {
        Moment::from_unix_milliseconds(tick.unix_milliseconds() - self.now.ahead)
    }

    /// The destinations to wake, once.
    pub(crate) fn woken(&mut self) -> Vec<Arc<str>> {
        std::mem::take(&mut self.woken)
    }

    /// The process ends and another one starts.
    pub(crate) fn crash(&mut self) {
        for delivery in &mut self.deliveries {
            if delivery.lease.take().is_some() {
                delivery.interrupted();
            }
        }
    }

    pub(crate) fn record(&mut self, event: NewEvent) -> Recorded {
        let has = |id: EventId| self.events.iter().any(|known| known.id == id);
        if let Some(&id) = event.passed.iter().find(|&&id| has(id)) {
            return Recorded::Looped(id);
        }
        let is_kept = has(event.id);
        if let Some(DeduplicationKey { key, lasts }) = event.deduplication {
            let is_same = |known: &Key| known.key == key && known.endpoint == event.endpoint;
            if let Some(known) = self.keys.iter().find(|known| is_same(known)) {
                if known.event == event.id {
                    return Recorded::Stored;
                }
                if known.expires_at.is_none_or(|expiry| expiry > self.now.tick) {
                    return if is_kept { Recorded::Stored } else { Recorded::Duplicate(known.event) };
                }
            }
            self.keys.retain(|known| !is_same(known));
            if !is_kept {
                let expires_at = lasts.map(|lasts| self.now.tick.after(lasts));
                self.keys.push(Key { endpoint: event.endpoint.clone(), key, event: event.id, expires_at });
            }
        }
        if is_kept {
            return Recorded::Stored;
        }
        self.events.push(Event {
            id: event.id,
            endpoint: event.endpoint,
            name: event.name,
            kind: event.kind,
            method: event.method,
            target: event.target,
            query: event.query,
            headers: event.headers,
            body: event.body.into_inner().into_bytes(),
            parked: event.parked.map(String::from),
        });
        for delivery in event.deliveries {
            self.add(event.id, delivery, None, None, None);
        }
        Recorded::Stored
    }

    /// Puts a delivery at the end: of its event's, of its line, of everything.
    fn add(
        &mut self,
        event: EventId,
        delivery: NewDelivery,
        redelivery_of: Option<u32>,
        ordered_at: Option<Moment>,
        order: Option<u64>,
    ) {
        let number = self.deliveries.iter().filter(|other| other.id.event == event).count() as u32 + 1;
        self.deliveries.push(Delivery {
            id: DeliveryId { event, number },
            destination: delivery.destination,
            order_key: delivery.order_key,
            state: DeliveryState::Held,
            attempts: 0,
            uncounted: 0,
            interruptions: 0,
            is_repeat: ordered_at.is_some(),
            created_at: ordered_at.unwrap_or(event.received_at()),
            due_at: self.now.tick,
            lease: None,
            finished_at: None,
            redelivery_of,
            reason: None,
            code: None,
            order,
            log: Vec::new(),
        });
        self.move_up();
    }

    /// Whatever is held and has nothing unfinished before it in its line is waiting, due at once.
    fn move_up(&mut self) {
        for index in 0..self.deliveries.len() {
            let delivery = &self.deliveries[index];
            if delivery.state != DeliveryState::Held {
                continue;
            }
            let is_behind = self.deliveries.iter().enumerate().any(|(other_index, other)| {
                let is_before = other_index < index && other.state.is_unfinished();
                let is_under_way = matches!(other.state, DeliveryState::Waiting | DeliveryState::Delivering);
                other_index != index && is_of_one_line(other, delivery) && (is_before || is_under_way)
            });
            if !is_behind {
                self.deliveries[index].state = DeliveryState::Waiting;
                self.deliveries[index].due_at = self.now.tick;
                self.woken.push(self.deliveries[index].destination.clone());
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
        while self.refused.len() > self.most_refused {
            let elsewhere = self.refused.iter().filter(|refused| refused.endpoint.is_none()).count();
            let is_elsewhere = elsewhere > self.most_refused.div_ceil(4) || elsewhere == self.refused.len();
            let alike = |one: &RefusedRecord| {
                let is_alike = |other: &&RefusedRecord| one.endpoint == other.endpoint && one.code == other.code;
                self.refused.iter().filter(is_alike).count()
            };
            let candidates = self.refused.iter().filter(|refused| refused.endpoint.is_none() == is_elsewhere);
            let leaves = candidates.max_by_key(|refused| (alike(refused), std::cmp::Reverse(refused.number)));
            let number = leaves.expect("there are more than may be kept").number;
            self.refused.retain(|refused| refused.number != number);
        }
    }

    pub(crate) fn exchange(&mut self, exchange: Exchange) -> Exchanged {
        let Exchange { destination, settlements, claim } = exchange;
        let settled = settlements.into_iter().map(|settlement| self.settle(&destination, settlement)).collect();
        let claimed = claim.map(|claim| self.claim(&destination, &claim)).unwrap_or_default();
        Exchanged { settled, claimed }
    }

    fn claim(&mut self, destination: &str, claim: &Claim) -> Claimed {
        let now = self.now.tick;
        for delivery in self.deliveries.iter_mut().filter(|delivery| *delivery.destination == *destination) {
            if delivery.lease.take_if(|lease| lease.until <= now).is_some() {
                delivery.interrupted();
            }
        }
        let lease_end = self.of_destination(destination).filter_map(|(_, other)| Some(other.lease?.until)).min();
        let mut claimed = Claimed::default();
        loop {
            let is_full = is_filled(&claimed, claim);
            let may_be_suspect = claimed.deliveries.len() < claim.free;
            if is_full {
                break;
            }
            let next = self.next(destination, claim, &claimed, may_be_suspect);
            claimed.suspects_wait |= self.next(destination, claim, &claimed, true) != next;
            let Some(index) = next else { break };
            let delivery = &mut self.deliveries[index];
            if delivery.counted() >= claim.most_attempts {
                claimed.exhausted.push(delivery.id);
                delivery.finish(DeliveryState::Dead, self.now.wall);
                delivery.reason = Some(EXHAUSTED.into());
                if delivery.interruptions > 0 {
                    delivery.code = Some("interrupted".into());
                }
                self.move_up();
                continue;
            }
            self.last_token += 1;
            let lease = Leased { token: self.last_token, owner: claim.owner, until: now.after(claim.lease) };
            delivery.state = DeliveryState::Delivering;
            delivery.lease = Some(lease);
            let delivery = &self.deliveries[index];
            let event = self.events.iter().find(|event| event.id == delivery.id.event).unwrap();
            claimed.deliveries.push(LeasedDelivery {
                lease: Lease { delivery: delivery.id, token: self.last_token },
                attempt: delivery.attempts + delivery.interruptions + 1,
                counted: delivery.counted(),
                is_repeat: delivery.is_repeat,
                is_suspect: delivery.interruptions > 0,
                endpoint: event.endpoint.clone(),
                name: event.name.clone(),
                kind: event.kind.clone(),
                method: event.method.clone(),
                target: event.target.clone(),
                query: event.query.clone(),
                headers: event.headers.clone(),
                body: event.body.clone(),
                redelivery_of: delivery.redelivery_of,
                age: self.now.wall.since(delivery.created_at),
            });
        }
        let is_filled = is_filled(&claimed, claim);
        let is_zero = is_filled || claimed.suspects_wait;
        let may_be_repeat = claimed.deliveries.len() < claim.free && repeats_of(&claimed) < claim.most_repeats;
        let waiting = self
            .of_destination(destination)
            .filter(|(_, other)| other.state == DeliveryState::Waiting && (may_be_repeat || !other.is_repeat));
        let due = waiting.map(|(_, other)| other.due_at).chain(lease_end).chain(is_zero.then_some(now)).min();
        claimed.next_due = due.map(|due| due.since(now));
        claimed
    }

    fn of_destination<'a>(&'a self, destination: &'a str) -> impl Iterator<Item = (usize, &'a Delivery)> {
        self.deliveries.iter().enumerate().filter(move |(_, delivery)| *delivery.destination == *destination)
    }

    /// The one to lease next: the first repeats, then what is new, then further repeats.
    fn next(&self, destination: &str, claim: &Claim, claimed: &Claimed, may_be_suspect: bool) -> Option<usize> {
        let due = |is_repeat: bool| {
            let due = self.of_destination(destination).filter(move |(_, delivery)| {
                delivery.state == DeliveryState::Waiting
                    && delivery.is_repeat == is_repeat
                    && delivery.due_at <= self.now.tick
                    && (may_be_suspect || delivery.interruptions == 0 || delivery.counted() >= claim.most_attempts)
            });
            // Of those that have been due equally long, the one made first.
            due.map(|(index, delivery)| (delivery.due_at, index))
        };
        let repeats = repeats_of(claimed);
        let first = (repeats < claim.repeats_first.min(claim.most_repeats)).then(|| due(true).min()).flatten();
        let new = || if claim.latest_first { due(false).max() } else { due(false).min() };
        let is_free = claimed.deliveries.len() < claim.free && repeats < claim.most_repeats;
        let last = || is_free.then(|| due(true).min()).flatten();
        first.or_else(new).or_else(last).map(|(_, index)| index)
    }

    pub(crate) fn renew(&mut self, leases: &[Lease], length: Duration) -> Vec<bool> {
        let until = self.now.tick.after(length);
        let renew = |lease: &Lease| match self.leased(*lease) {
            Some(Delivery { lease: Some(lease), .. }) => {
                lease.until = until;
                true
            }
            _ => false,
        };
        leases.iter().map(renew).collect()
    }

    pub(crate) fn release(&mut self, owner: Owner) -> u64 {
        self.pruner.take_if(|(pruner, _)| *pruner == owner);
        let mut released = 0;
        for delivery in &mut self.deliveries {
            if delivery.lease.take_if(|lease| lease.owner == owner).is_some() {
                delivery.state = DeliveryState::Waiting;
                self.woken.push(delivery.destination.clone());
                released += 1;
            }
        }
        released
    }

    /// The delivery, as long as it is this lease that it has.
    fn leased(&mut self, lease: Lease) -> Option<&mut Delivery> {
        self.deliveries.iter_mut().find(|delivery| {
            delivery.id == lease.delivery && delivery.lease.is_some_and(|leased| leased.token == lease.token)
        })
    }

    fn settle(&mut self, destination: &str, settlement: Settlement) -> Settled {
        let Now { wall, tick, .. } = self.now;
        let Some(delivery) = self.leased(settlement.lease).filter(|delivery| *delivery.destination == *destination)
        else {
            return Settled::Fenced;
        };
        let detail = settlement.attempt.as_ref().map(|attempt| attempt.detail.to_string());
        let code = settlement.attempt.as_ref().map(|attempt| attempt.code.to_string());
        if let Some(attempt) = settlement.attempt {
            let number = delivery.attempts + delivery.interruptions + 1;
            // An entry of an attempt that did not count is replaced.
            delivery.log.retain(|logged| logged.attempt != number);
            delivery.log.push(AttemptRecord {
                attempt: number,
                started_at: wall.before(attempt.took),
                took_milliseconds: attempt.took.as_millis() as u64,
                status: attempt.status,
                detail: attempt.detail.into(),
                code: Some(attempt.code.into()),
                answer: attempt.answer,
            });
            let is_between = |logged: &AttemptRecord| number > 10 && logged.attempt == number - 5;
            let between = delivery.log.iter_mut().find(|logged| is_between(logged));
            if let Some(logged) = between.filter(|_| settlement.verdict != Verdict::Delivered) {
                logged.answer = None;
            }
        }
        match settlement.verdict {
            Verdict::Delivered => {
                delivery.attempts += 1;
                delivery.finish(DeliveryState::Delivered, wall);
                (delivery.reason, delivery.code) = (None, None);
            }
            Verdict::Dead(reason) => {
                delivery.attempts += 1;
                delivery.finish(DeliveryState::Dead, wall);
                delivery.reason =
                    Some(detail.map_or_else(|| reason.to_string(), |detail| format!("{reason}: {detail}")));
                delivery.code = code;
            }
            Verdict::Retry { after, counts } => {
                delivery.attempts += 1;
                delivery.uncounted += u32::from(!counts);
                delivery.is_repeat = true;
                delivery.wait_until(tick.after(after));
                (delivery.reason, delivery.code) = (detail, code);
            }
            Verdict::Released => {
                delivery.wait_until(delivery.due_at);
            }
        }
        self.woken.push(destination.into());
        self.move_up();
        Settled::Recorded
    }

    pub(crate) fn begin_order(&mut self, order: NewOrder) -> BegunOrder {
        let known = self.orders.iter().find(|ordered| ordered.key == order.key).map(|known| self.order_of(known));
        if let Some(record) = known {
            return BegunOrder { record, is_new: false };
        }
        self.last_order += 1;
        let record = OrderRecord {
            number: self.last_order,
            state: OrderState::Running,
            verb: order.verb,
            what: order.what,
            who: order.who.into(),
            source: order.source,
            note: order.note.map(String::from),
            counted: order.counted,
            taken: 0,
            done: 0,
            unrouted: 0,
            began_at: self.now.wall,
            ended_at: None,
            reason: None,
        };
        let until = self.now.tick.after(OrderRecord::LEASE);
        self.orders.push(Ordered { key: order.key, record: record.clone(), until });
        let last = self.last_order.saturating_sub(OrderRecord::MOST_KEPT);
        self.orders.retain(|ordered| ordered.record.number > last || ordered.record.state == OrderState::Running);
        BegunOrder { record, is_new: true }
    }

    /// The order as it is now.
    fn order_of(&self, ordered: &Ordered) -> OrderRecord {
        let mut record = ordered.record.clone();
        if record.state == OrderState::Running && ordered.until <= self.now.tick {
            record.state = OrderState::BrokenOff;
        }
        record
    }

    fn under_way(&mut self, number: u64) -> Option<&mut Ordered> {
        let now = self.now.tick;
        let is_it = |ordered: &&mut Ordered| ordered.record.number == number && ordered.until > now;
        self.orders.iter_mut().find(is_it).filter(|ordered| ordered.record.state == OrderState::Running)
    }

    pub(crate) fn carry_out(&mut self, number: u64, part: OrderPart) -> Carried {
        if self.under_way(number).is_none() {
            return Carried { done: 0, is_over: true };
        }
        let mut counted = None;
        let (taken, unrouted) = (part.taken(), part.unrouted());
        let done = match part {
            OrderPart::Counting(number) => {
                counted = number;
                0
            }
            OrderPart::Redeliver { events, destination } => self.redeliver(number, &events, destination.as_ref()),
            OrderPart::Route(events) => self.route(number, &events),
            OrderPart::RedeliverDead(deliveries) => self.redeliver_dead(number, &deliveries),
            OrderPart::DropDead(deliveries) => self.drop_dead(number, &deliveries),
            OrderPart::Move { from, to } => self.move_deliveries(number, &from, &to),
            OrderPart::Drop { destination } => self.drop_deliveries(number, &destination),
        };
        let until = self.now.tick.after(OrderRecord::LEASE);
        let ordered = self.under_way(number).expect("it was just now");
        ordered.until = until;
        let record = &mut ordered.record;
        record.counted = counted.or(record.counted);
        record.taken += taken.unwrap_or(done);
        record.done += done;
        record.unrouted += unrouted;
        Carried { done, is_over: false }
    }

    pub(crate) fn end_order(
        &mut self,
        number: u64,
        state: OrderState,
        reason: Option<Box<str>>,
    ) -> Option<OrderRecord> {
        let wall = self.now.wall;
        if let Some(Ordered { record, .. }) = self.under_way(number) {
            (record.state, record.reason, record.ended_at) = (state, reason.map(String::from), Some(wall));
        }
        self.order(number)
    }

    pub(crate) fn order(&self, number: u64) -> Option<OrderRecord> {
        self.orders.iter().find(|ordered| ordered.record.number == number).map(|ordered| self.order_of(ordered))
    }

    pub(crate) fn orders(&self, page: Page<u64>) -> Vec<OrderRecord> {
        on_page(self.orders.iter().map(|ordered| self.order_of(ordered)).collect(), page, |record| record.number)
    }

    fn redeliver(&mut self, order: u64, events: &[EventId], destination: Option<&Arc<str>>) -> u64 {
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
                self.add(event, NewDelivery { destination, order_key }, repeated, Some(self.now.wall), Some(order));
                made += 1;
            }
        }
        made
    }

    fn route(&mut self, order: u64, events: &[(EventId, Vec<NewDelivery>)]) -> u64 {
        let mut made = 0;
        for (event, deliveries) in events {
            let is_known = self.events.iter().any(|known| known.id == *event);
            if !is_known || self.deliveries.iter().any(|delivery| delivery.id.event == *event) {
                continue;
            }
            for delivery in deliveries {
                self.add(*event, delivery.clone(), None, Some(self.now.wall), Some(order));
                made += 1;
            }
        }
        made
    }

    fn redeliver_dead(&mut self, order: u64, deliveries: &[DeliveryId]) -> u64 {
        let mut made = 0;
        for &id in deliveries {
            let Some(dead) = self.dead(id) else { continue };
            dead.state = DeliveryState::Redelivered;
            let again = NewDelivery { destination: dead.destination.clone(), order_key: dead.order_key.clone() };
            self.add(id.event, again, Some(id.number), Some(self.now.wall), Some(order));
            made += 1;
        }
        made
    }

    fn drop_dead(&mut self, order: u64, deliveries: &[DeliveryId]) -> u64 {
        let wall = self.now.wall;
        let mut dropped = 0;
        for &id in deliveries {
            if let Some(dead) = self.dead(id) {
                dead.finish(DeliveryState::Dropped, wall);
                dead.order = Some(order);
                dropped += 1;
            }
        }
        dropped
    }

    fn move_deliveries(&mut self, order: u64, from: &str, to: &Arc<str>) -> u64 {
        if from == &**to {
            return 0;
        }
        let mut moved = 0;
        for index in self.movable(from) {
            let delivery = &mut self.deliveries[index];
            delivery.destination = to.clone();
            delivery.order = Some(order);
            moved += 1;
            if delivery.state == DeliveryState::Dead {
                continue;
            }
            delivery.state = DeliveryState::Held;
            let delivery = delivery.clone();
            for later in self.deliveries[index + 1..].iter_mut() {
                if later.state == DeliveryState::Waiting && is_of_one_line(later, &delivery) {
                    later.state = DeliveryState::Held;
                }
            }
        }
        self.move_up();
        moved
    }

    fn drop_deliveries(&mut self, order: u64, destination: &str) -> u64 {
        let (movable, wall) = (self.movable(destination), self.now.wall);
        for &index in &movable {
            self.deliveries[index].finish(DeliveryState::Dropped, wall);
            self.deliveries[index].order = Some(order);
        }
        movable.len() as u64
    }

    /// What is left of a destination, except what is being attempted and what is behind that.
    fn movable(&self, destination: &str) -> Vec<usize> {
        let is_movable = |delivery: &Delivery| match delivery.state {
            DeliveryState::Dead => true,
            DeliveryState::Waiting | DeliveryState::Held => {
                let delivering = |other: &&Delivery| other.state == DeliveryState::Delivering;
                !self.deliveries.iter().filter(delivering).any(|other| is_of_one_line(other, delivery))
            }
            _ => false,
        };
        let of_destination = |&index: &usize| *self.deliveries[index].destination == *destination;
        (0..self.deliveries.len()).filter(of_destination).filter(|&index| is_movable(&self.deliveries[index])).collect()
    }

    fn dead(&mut self, id: DeliveryId) -> Option<&mut Delivery> {
        self.deliveries.iter_mut().find(|delivery| delivery.id == id && delivery.state == DeliveryState::Dead)
    }

    /// Many at one call, so that there may be more.
    pub(crate) fn prune(&mut self, prune: Prune) -> Pruned {
        let now = self.now;
        if self.pruner.is_some_and(|(owner, until)| owner != prune.owner && until > now.tick) {
            return Pruned::Elsewhere;
        }
        self.pruner = Some((prune.owner, now.tick.after(OWNED_FOR)));
        let is_old = |id: EventId| prune.kept_for.is_some_and(|kept_for| id.received_at() < now.wall.before(kept_for));
        let old = self.events.iter().map(|event| event.id).filter(|&id| is_old(id));
        let is_done =
            |&id: &EventId| !matches!(self.state_of(id), EventState::Pending | EventState::Dead | EventState::Parked);
        let forgotten: Vec<EventId> = old.filter(is_done).take(500).collect();
        self.events.retain(|event| !forgotten.contains(&event.id));
        self.deliveries.retain(|delivery| !forgotten.contains(&delivery.id.event));
        self.keys.retain(|key| match key.expires_at {
            Some(expiry) => expiry > now.tick,
            None => !forgotten.contains(&key.event),
        });
        Pruned::Here { events: forgotten.len() as u64, more: forgotten.len() == 500 }
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
            name: event.name.to_string(),
            kind: event.kind.as_deref().map(str::to_owned),
            state: self.state_of(event.id),
            parked: event.parked.clone(),
            issue: IssueSummary::of(&event.body, &event.name, event.kind.as_deref()),
            body_length: event.body.len() as u64,
            deliveries: self.deliveries_of(event.id).count() as u32,
        }
    }

    fn delivery_record_of(&self, delivery: &Delivery) -> DeliveryRecord {
        let event = self.events.iter().find(|event| event.id == delivery.id.event).unwrap();
        DeliveryRecord {
            id: delivery.id,
            destination: delivery.destination.to_string(),
            name: event.name.to_string(),
            kind: event.kind.as_deref().map(str::to_owned),
            issue: IssueSummary::of(&event.body, &event.name, event.kind.as_deref()),
            state: delivery.state,
            attempts: delivery.attempts + delivery.interruptions,
            created_at: delivery.created_at,
            due_at: (delivery.state == DeliveryState::Waiting).then(|| self.wall_at(delivery.due_at)),
            finished_at: delivery.finished_at,
            order_key: delivery.order_key.as_deref().map(str::to_owned),
            redelivery_of: delivery.redelivery_of,
            reason: delivery.reason.clone(),
            code: delivery.code.clone(),
            order: delivery.order,
        }
    }

    pub(crate) fn events(&self, filter: &EventFilter, page: Page<EventId>) -> Vec<EventRecord> {
        let matching = self.events.iter().filter(|event| {
            is_in_range(event.id, filter.since, filter.until)
                && filter.kind.as_ref().is_none_or(|kind| names_match(kind, event.kind_or_name()))
                && filter.endpoint.as_ref().is_none_or(|endpoint| **endpoint == *event.endpoint)
                && filter.state.is_none_or(|state| state == self.state_of(event.id))
                && filter.contains.as_ref().is_none_or(|text| body_contains(&event.body, text))
                && filter
                    .term
                    .as_ref()
                    .is_none_or(|term| Terms::of(&event.body, &event.name, event.kind.as_deref()).contain(term))
                && filter
                    .issue
                    .as_ref()
                    .is_none_or(|text| self.record_of(event).issue.is_some_and(|issue| issue.is_called(text)))
                && filter.id.as_ref().is_none_or(|part| part.matches(event.id))
        });
        on_page(matching.map(|event| self.record_of(event)).collect(), page, |record| record.id)
    }

    pub(crate) fn event(&self, id: EventId) -> Option<EventDetail> {
        let event = self.events.iter().find(|event| event.id == id)?;
        let newest = |count: usize| count.saturating_sub(EventDetail::MOST_SHOWN);
        let deliveries: Vec<_> = self.deliveries_of(id).collect();
        Some(EventDetail {
            record: self.record_of(event),
            method: event.method.to_string(),
            target: event.target.to_string(),
            query: event.query.as_deref().map(str::to_owned),
            headers: event.headers.clone(),
            body: event.body.clone(),
            deliveries: deliveries[newest(deliveries.len())..]
                .iter()
                .map(|delivery| {
                    (self.delivery_record_of(delivery), delivery.log[newest(delivery.log.len())..].to_vec())
                })
                .collect(),
        })
    }

    pub(crate) fn deliveries(&self, filter: &DeliveryFilter, page: Page<DeliveryId>) -> Vec<DeliveryRecord> {
        let matching = self.deliveries.iter().filter(|delivery| {
            is_in_range(delivery.id.event, filter.since, filter.until)
                && filter.event.is_none_or(|event| event == delivery.id.event)
                && filter.destination.as_ref().is_none_or(|destination| **destination == *delivery.destination)
                && filter.state.is_none_or(|state| state == delivery.state)
                && filter.code.as_deref().is_none_or(|code| code == delivery.code.as_deref().unwrap_or("none"))
                && filter.died_before.is_none_or(|before| {
                    delivery.state == DeliveryState::Dead && delivery.finished_at.is_some_and(|died| died < before)
                })
                && filter.issue.as_ref().is_none_or(|text| {
                    self.delivery_record_of(delivery).issue.is_some_and(|issue| issue.is_called(text))
                })
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

    pub(crate) fn dead_groups(&self) -> Vec<DeadGroup> {
        let mut groups: BTreeMap<(&str, Option<&str>), Vec<&Delivery>> = BTreeMap::new();
        for delivery in self.deliveries.iter().filter(|delivery| delivery.state == DeliveryState::Dead) {
            groups.entry((&delivery.destination, delivery.code.as_deref())).or_default().push(delivery);
        }
        let group = |((destination, code), dead): ((&str, Option<&str>), Vec<&Delivery>)| {
            let last = dead.iter().max_by_key(|delivery| delivery.finished_at).unwrap();
            DeadGroup {
                destination: destination.to_owned(),
                code: code.map(str::to_owned),
                dead: dead.len() as u64,
                first_at: dead.iter().filter_map(|delivery| delivery.finished_at).min().unwrap(),
                last_at: last.finished_at.unwrap(),
                sample: last.id,
                reason: last.reason.clone(),
                answer: last.log.last().and_then(|attempt| attempt.answer.clone()),
            }
        };
        groups.into_iter().map(group).collect()
    }

    pub(crate) fn stats(&self) -> Stats {
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
                    .filter(|delivery| delivery.state == DeliveryState::Waiting && delivery.due_at <= self.now.tick)
                    .map(|delivery| self.wall_at(delivery.due_at))
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

impl Event {
    fn kind_or_name(&self) -> &str {
        self.kind.as_deref().unwrap_or(&self.name)
    }
}

impl Delivery {
    /// Every interruption counts but the first.
    fn counted(&self) -> u32 {
        self.attempts - self.uncounted + self.interruptions.saturating_sub(1)
    }

    /// Its lease ended without its owner's word.
    fn interrupted(&mut self) {
        self.is_repeat |= self.interruptions > 0;
        self.interruptions += 1;
        self.state = DeliveryState::Waiting;
    }

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

/// Whether one of two deliveries may have to wait for the other.
fn is_of_one_line(one: &Delivery, other: &Delivery) -> bool {
    one.order_key.is_some() && one.order_key == other.order_key && one.destination == other.destination
}

/// Whether as many are leased as were asked for, or their bodies have as many bytes as may be leased ahead.
fn repeats_of(claimed: &Claimed) -> usize {
    claimed.deliveries.iter().filter(|leased| leased.is_repeat).count()
}

fn is_filled(claimed: &Claimed, claim: &Claim) -> bool {
    let mut ahead = claimed.deliveries.iter().skip(claim.free).map(|leased| leased.body.len().max(1)).peekable();
    let has_ahead = ahead.peek().is_some();
    claimed.deliveries.len() >= claim.free + claim.ahead || has_ahead && ahead.sum::<usize>() >= claim.ahead_bytes
}

fn is_in_range(event: EventId, since: Option<Moment>, until: Option<Moment>) -> bool {
    let received_at = event.received_at();
    since.is_none_or(|since| received_at >= since) && until.is_none_or(|until| received_at < until)
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
