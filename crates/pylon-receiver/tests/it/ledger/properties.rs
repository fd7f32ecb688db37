//! Whatever is asked, a ledger answers what the model answers, and holds what the model holds.

use super::contract::{Ask, ByHand, Draft, Hands, REFUSED, Subject, all, another_order, at, event, owner};
use super::model::{EXHAUSTED, Model};
use super::operation::{AskedPage, BODIES, End, Op, operation};
use proptest::collection::vec;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use pylon_receiver::ledger::*;
use pylon_receiver::{DeliveryId, EventId, Headers, Moment};
use std::fmt::Debug;
use std::time::Duration;

/// Cases where `PROPTEST_CASES` says nothing: enough to find a wrong rule, few enough for every run of the tests.
const CASES: u32 = 64;

/// Has a ledger and the model answer the same questions.
pub(crate) fn check<S: Subject>() {
    if !S::is_here() {
        return;
    }
    let mut config = Config { failure_persistence: None, ..Config::default() };
    if std::env::var_os("PROPTEST_CASES").is_none() {
        config.cases = CASES;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let result = TestRunner::new(config).run(&vec(operation(), 1..60), |ops| {
        runtime.block_on(async {
            let mut pair = Pair::<S>::fresh().await;
            for (step, op) in ops.into_iter().enumerate() {
                let told = format!("step {step}, {op:?}");
                pair.perform(op).await.map_err(|what| TestCaseError::fail(format!("{told}: {what}")))?;
            }
            pair.compare_everything().await.map_err(|what| TestCaseError::fail(format!("in the end: {what}")))
        })
    });
    if let Err(failure) = result {
        panic!("{failure}");
    }
}

/// A ledger and the model that has been told the same.
struct Pair<S> {
    subject: S,
    model: Model,
    clock: Hands,
    now: i64,
    /// The names of all events there have been; of deliveries there may be more.
    events: Vec<EventId>,
    deliveries: Vec<DeliveryId>,
    /// The model's leases, and the ledger's.
    leases: Vec<(&'static str, Lease, Lease)>,
    refusals: usize,
}

/// What differs.
type Compared = Result<(), String>;

fn same<T: PartialEq + Debug>(what: &str, ledger: T, model: T) -> Compared {
    if ledger == model { Ok(()) } else { Err(format!("{what}: the ledger has {ledger:#?}, the model {model:#?}")) }
}

impl<S: Subject> Pair<S> {
    async fn fresh() -> Self {
        let clock = Hands::new();
        Self {
            subject: S::fresh(clock.clone()).await,
            model: Model::new(REFUSED),
            clock,
            now: 0,
            events: Vec::new(),
            deliveries: Vec::new(),
            leases: Vec::new(),
            refusals: 0,
        }
    }

    /// Has the model carry out an order of one part.
    fn given(&mut self, part: OrderPart) -> u64 {
        let model = self.change();
        let number = model.begin_order(another_order()).record.number;
        let carried = model.carry_out(number, part);
        model.end_order(number, OrderState::Done, None);
        carried.done
    }

    /// The model, about to change: from then on its time does not go back.
    fn change(&mut self) -> &mut Model {
        self.model.pass();
        &mut self.model
    }

    async fn perform(&mut self, op: Op) -> Compared {
        let ledger = self.subject.ledger();
        self.clock.set(at(self.now));
        self.model.look_at(at(self.now));
        match op {
            Op::Wait(seconds) => {
                self.now += seconds;
                Ok(())
            }
            Op::Crash => {
                drop(ledger);
                self.subject.crash().await;
                self.model.crash();
                self.compare_everything().await
            }
            Op::Record { random, endpoint, name, body, is_parked, key, deliveries } => {
                let mut event = NewEvent {
                    id: EventId::new(at(self.now), [random; 10]),
                    headers: Headers::from_stored(format!("x-number: {random}\n")),
                    query: is_parked.then(|| "a=b".into()),
                    ..event(0).through(endpoint).named(name).with_body(BODIES[body])
                };
                if is_parked {
                    event = event.parked("it is not JSON");
                }
                if let Some((key, lasts)) = key {
                    event = event.keyed(key, lasts);
                }
                for (destination, order_key) in deliveries {
                    event = match order_key {
                        Some(order_key) => event.in_line(destination, order_key),
                        None => event.to(destination),
                    };
                }
                self.events.push(event.id);
                let answer = self.change().record(event.clone());
                same("record", ledger.record(event).await.unwrap(), answer)?;
                self.meet_deliveries();
                Ok(())
            }
            Op::Claim {
                destination,
                owner: by,
                free,
                ahead,
                repeats_first,
                most_repeats,
                latest_first,
                lease,
                most_attempts,
            } => {
                let ask = Ask {
                    now: self.now,
                    destination: destination.into(),
                    owner: owner(by),
                    lease,
                    free,
                    ahead,
                    ahead_bytes: 20,
                    repeats_first,
                    most_repeats,
                    latest_first,
                    most_attempts,
                };
                let model = self.change().exchange(ask.exchange()).claimed;
                let ledger = ledger.exchange(ask.exchange()).await.unwrap().claimed;
                same("leased", leased(&ledger), leased(&model))?;
                same("exhausted", &ledger.exhausted, &model.exhausted)?;
                same("next due", ledger.next_due, model.next_due)?;
                same("suspects wait", ledger.suspects_wait, model.suspects_wait)?;
                let pairs = model.deliveries.iter().zip(&ledger.deliveries);
                self.leases.extend(pairs.map(|(ours, theirs)| (destination, ours.lease, theirs.lease)));
                Ok(())
            }
            Op::Settle { lease, end, is_told } => {
                let Some(&(destination, ours, theirs)) = nth(&self.leases, lease) else { return Ok(()) };
                let verdict = match end {
                    End::Delivered => Verdict::Delivered,
                    End::Retry { after, counts } => Verdict::Retry { after: Duration::from_secs(after), counts },
                    End::Dead => Verdict::Dead("over".into()),
                    End::Released => Verdict::Released,
                };
                let attempt = is_told.then(|| NewAttempt {
                    took: Duration::from_millis(lease as u64),
                    status: Some(lease as i32),
                    detail: "what was met".into(),
                    code: format!("exit_{}", lease % 3).into(),
                    answer: (lease % 2 == 1).then(|| {
                        let said = [b'x', 0xFF, 0, lease as u8];
                        AttemptAnswer::beginning((lease % 3 == 1).then_some(b"text/html"), &said, lease % 5 == 0)
                    }),
                });
                let exchange = |lease| Exchange {
                    destination: destination.into(),
                    settlements: vec![Settlement { lease, verdict: verdict.clone(), attempt: attempt.clone() }],
                    claim: None,
                };
                let settled = self.change().exchange(exchange(ours)).settled;
                same("settled", ledger.exchange(exchange(theirs)).await.unwrap().settled, settled)
            }
            Op::Renew { leases, length } => {
                let leases = leases.into_iter().filter_map(|lease| nth(&self.leases, lease).copied());
                let (ours, theirs): (Vec<_>, Vec<_>) = leases.map(|(_, ours, theirs)| (ours, theirs)).unzip();
                let length = Duration::from_secs(length);
                same("renewed", ledger.renew(theirs, length).await.unwrap(), self.change().renew(&ours, length))
            }
            Op::Release(by) => {
                same("released", ledger.release(owner(by)).await.unwrap(), self.change().release(owner(by)))
            }
            Op::Redeliver { event, destination } => {
                let Some(&event) = nth(&self.events, event) else { return Ok(()) };
                let destination = destination.map(Into::into);
                let made = self.given(OrderPart::Redeliver { events: vec![event], destination: destination.clone() });
                same("redelivered", ledger.redeliver(vec![event], destination).await.unwrap(), made)?;
                self.meet_deliveries();
                Ok(())
            }
            Op::Route { event, deliveries } => {
                let Some(&event) = nth(&self.events, event) else { return Ok(()) };
                let new = |(destination, order_key): &(&str, Option<&str>)| NewDelivery {
                    destination: (*destination).into(),
                    order_key: order_key.map(Into::into),
                };
                let routed: Vec<_> = vec![(event, deliveries.iter().map(new).collect())];
                let made = self.given(OrderPart::Route(routed.clone()));
                same("routed", ledger.route(routed).await.unwrap(), made)?;
                self.meet_deliveries();
                Ok(())
            }
            Op::RedeliverDead(deliveries) => {
                let deliveries = self.delivery_ids(deliveries);
                let made = self.given(OrderPart::RedeliverDead(deliveries.clone()));
                same("redelivered", ledger.redeliver_dead(deliveries).await.unwrap(), made)?;
                self.meet_deliveries();
                Ok(())
            }
            Op::DropDead(deliveries) => {
                let deliveries = self.delivery_ids(deliveries);
                let dropped = self.given(OrderPart::DropDead(deliveries.clone()));
                same("dropped", ledger.drop_dead(deliveries).await.unwrap(), dropped)
            }
            Op::Move(from, to) => {
                let moved = self.given(OrderPart::Move { from: from.into(), to: to.into() });
                same("moved", ledger.move_deliveries(from.into(), to.into()).await.unwrap(), moved)
            }
            Op::DropAll(destination) => {
                let dropped = self.given(OrderPart::Drop { destination: destination.into() });
                same("dropped all", ledger.drop_deliveries(destination.into()).await.unwrap(), dropped)
            }
            Op::Prune(by, kept_for) => {
                let prune = Prune { owner: owner(by), kept_for: kept_for.map(Duration::from_secs) };
                same("pruned", ledger.prune(prune).await.unwrap(), self.change().prune(prune))
            }
            Op::Refuse { endpoint, code } => {
                self.refusals += 1;
                let refused = NewRefused {
                    endpoint: endpoint.map(Into::into),
                    ..super::contract::refused(self.now, code, &format!("refusal {}", self.refusals))
                };
                self.change().keep_refused(refused.clone());
                let reason = refused.reason.clone();
                ledger.keep_refused(refused);
                // Nobody is told when a refused request is kept.
                for _ in 0..1000 {
                    let newest = Page { after: None, limit: 1, order: Order::NewestFirst };
                    let kept = ledger.refused(RefusedFilter::default(), newest).await.unwrap();
                    if kept.first().is_some_and(|kept| *kept.reason == *reason) {
                        return Ok(());
                    }
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
                Err("the refused request is not kept".into())
            }
            Op::Events { filter, page } => {
                let filter = EventFilter {
                    since: filter.since.map(|seconds| self.at(seconds)),
                    until: filter.until.map(|seconds| self.at(seconds)),
                    kind: filter.kind.map(Into::into),
                    endpoint: filter.endpoint.map(Into::into),
                    state: filter.event_state,
                    contains: filter.contains.map(Into::into),
                    issue: filter.issue.map(Into::into),
                    id: None,
                    term: filter.term.map(Into::into),
                };
                let page = page.over(&self.events);
                same("events", ledger.events(filter.clone(), page).await.unwrap(), self.model.events(&filter, page))
            }
            Op::Deliveries { filter, page } => {
                let filter = DeliveryFilter {
                    event: filter.event.and_then(|event| nth(&self.events, event).copied()),
                    destination: filter.destination.map(Into::into),
                    state: filter.delivery_state,
                    since: filter.since.map(|seconds| self.at(seconds)),
                    until: filter.until.map(|seconds| self.at(seconds)),
                    issue: filter.issue.map(Into::into),
                    code: filter.attempt_code.map(Into::into),
                    died_before: filter.died_before.map(|seconds| self.at(seconds)),
                };
                let page = page.over(&self.deliveries);
                let listed = ledger.deliveries(filter.clone(), page).await.unwrap();
                let expected = self.model.deliveries(&filter, page);
                same("deliveries", in_our_words(listed), in_our_words(expected))
            }
            Op::RefusedRequests { filter, page } => {
                let filter =
                    RefusedFilter { endpoint: filter.endpoint.map(Into::into), code: filter.code.map(Into::into) };
                let page = page.over(&(1..=self.refusals as u64).collect::<Vec<_>>());
                same("refused", ledger.refused(filter.clone(), page).await.unwrap(), self.model.refused(&filter, page))
            }
            Op::Stats => {
                let sized = |stats: Stats| Stats { ledger_bytes: 0, ..stats };
                same("stats", sized(ledger.stats().await.unwrap()), sized(self.model.stats()))?;
                same_groups(ledger.dead_groups().await.unwrap(), self.model.dead_groups())
            }
        }
    }

    fn at(&self, seconds: i64) -> Moment {
        at(self.now + seconds)
    }

    fn delivery_ids(&self, places: Vec<usize>) -> Vec<DeliveryId> {
        places.into_iter().filter_map(|place| nth(&self.deliveries, place).copied()).collect()
    }

    fn meet_deliveries(&mut self) {
        for record in self.model.deliveries(&DeliveryFilter::default(), all()) {
            if !self.deliveries.contains(&record.id) {
                self.deliveries.push(record.id);
            }
        }
    }

    async fn compare_everything(&mut self) -> Compared {
        let ledger = self.subject.ledger();
        self.clock.set(at(self.now));
        self.model.look_at(at(self.now));
        let records = self.model.events(&EventFilter::default(), all());
        same("all events", &ledger.events(EventFilter::default(), all()).await.unwrap(), &records)?;
        for id in records.into_iter().map(|record| record.id) {
            let worded = |detail: Option<EventDetail>| {
                detail.map(|mut detail| {
                    let deliveries = detail.deliveries.into_iter();
                    detail.deliveries = deliveries.map(|(record, log)| (in_our_word(record), log)).collect();
                    detail
                })
            };
            same("an event", worded(ledger.event(id).await.unwrap()), worded(self.model.event(id)))?;
        }
        let deliveries = ledger.deliveries(DeliveryFilter::default(), all()).await.unwrap();
        let expected = self.model.deliveries(&DeliveryFilter::default(), all());
        same("all deliveries", in_our_words(deliveries), in_our_words(expected))?;
        let refused = ledger.refused(RefusedFilter::default(), all()).await.unwrap();
        same("all refused requests", refused, self.model.refused(&RefusedFilter::default(), all()))?;
        let sized = |stats: Stats| Stats { ledger_bytes: 0, ..stats };
        same("stats", sized(ledger.stats().await.unwrap()), sized(self.model.stats()))?;
        same_groups(ledger.dead_groups().await.unwrap(), self.model.dead_groups())
    }
}

/// Of several that died at one moment, any may be the sample.
fn same_groups(ledger: Vec<DeadGroup>, model: Vec<DeadGroup>) -> Compared {
    let without_sample = |groups: Vec<DeadGroup>| -> Vec<_> {
        groups
            .into_iter()
            .map(|group| (group.destination, group.code, group.dead, group.first_at, group.last_at))
            .collect()
    };
    same("groups of the dead", without_sample(ledger), without_sample(model))
}

/// Why a delivery died whose attempts are used up, a ledger may say as it likes; it says no verdict's reason then.
fn in_our_words(records: Vec<DeliveryRecord>) -> Vec<DeliveryRecord> {
    records.into_iter().map(in_our_word).collect()
}

fn in_our_word(mut record: DeliveryRecord) -> DeliveryRecord {
    let is_verdict = |reason: &str| ["over", "over: what was met", "what was met"].contains(&reason);
    if record.reason.as_deref().is_some_and(|reason| !reason.is_empty() && !is_verdict(reason)) {
        record.reason = Some(EXHAUSTED.into());
    }
    // Each ledger has its own numbers, and a moved one none.
    record.order = None;
    record
}

/// All of what was leased but the tokens.
fn leased(claimed: &Claimed) -> Vec<impl PartialEq + Debug> {
    let told = |leased: &LeasedDelivery| {
        let headers = String::from_utf8_lossy(leased.headers.as_bytes()).into_owned();
        let names = (leased.endpoint.clone(), leased.name.clone(), leased.kind.clone());
        let request =
            (leased.method.clone(), leased.target.clone(), leased.query.clone(), headers, leased.body.clone());
        let kept = (leased.attempt, leased.counted, leased.is_repeat, leased.is_suspect, leased.redelivery_of);
        (leased.lease.delivery, kept, leased.age, names, request)
    };
    claimed.deliveries.iter().map(told).collect()
}

fn nth<T>(items: &[T], place: usize) -> Option<&T> {
    // Counted from the newest: that is the one which most often matters.
    items.iter().rev().nth(place.checked_rem(items.len())?)
}

impl AskedPage {
    fn over<K: Copy>(self, names: &[K]) -> Page<K> {
        let after = self.after.and_then(|after| nth(names, after).copied());
        Page { after, limit: self.limit, order: self.order }
    }
}
