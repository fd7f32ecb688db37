//! A ledger in memory that can only be read, redelivered and dropped, a receiver that does nothing, and a router over both.

use axum::Router;
use axum::body::{Body, to_bytes};
use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use pylon_receiver::internals::{
    Access, AdminParts, CertificateEnd, Metrics, OperatorsOptions, Running, RunningDestination, operators_router,
};
use pylon_receiver::ledger::*;
use pylon_receiver::wire::{
    Activity, CircuitStatus, DestinationActivity, DestinationSeen, EndpointActivity, EndpointSeen, RetrySummary,
    SecretStatus,
};
use pylon_receiver::{DeliveryId, EventId, Headers, Moment, Role};
use pylon_webhooks::{EventKind, WebhookEvent};
use serde_json::Value;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tower_service::Service;

/// The moment at which everything is asked: 2026-11-23T08:00:00Z.
pub(crate) const NOW: Moment = Moment::from_unix_milliseconds(1_795_420_800_000);

/// The event that came in so many seconds before [`NOW`].
pub(crate) fn event_id(seconds_ago: i64) -> EventId {
    let moment = Moment::from_unix_milliseconds(NOW.unix_milliseconds() - seconds_ago * 1000);
    EventId::new(moment, [7; 10])
}

pub(crate) fn event(id: EventId, kind: &str, body: &[u8]) -> EventDetail {
    let record = EventRecord {
        id,
        received_at: id.received_at(),
        endpoint: "support".to_owned(),
        name: kind.to_owned(),
        kind: EventKind::from_name(kind).map(|kind| kind.name().to_owned()),
        state: EventState::Pending,
        parked: None,
        issue: IssueSummary::of(body, kind, None),
        body_length: body.len() as u64,
        deliveries: 0,
    };
    let headers = Headers::from_stored(Bytes::from_static(b"content-type: application/json\n"));
    EventDetail {
        record,
        method: "POST".to_owned(),
        target: "/webhook".to_owned(),
        query: None,
        headers,
        body: Bytes::copy_from_slice(body),
        deliveries: Vec::new(),
    }
}

pub(crate) fn delivery(event: EventId, number: u32, state: DeliveryState) -> DeliveryRecord {
    DeliveryRecord {
        id: DeliveryId { event, number },
        destination: "app".to_owned(),
        name: "Issue.New".to_owned(),
        kind: Some("issue_new".to_owned()),
        issue: None,
        state,
        attempts: 1,
        created_at: event.received_at(),
        due_at: None,
        finished_at: None,
        order_key: None,
        redelivery_of: None,
        reason: None,
        code: None,
        order: None,
    }
}

/// A spool into which events go since a minute.
pub(crate) fn spooling() -> SpoolStatus {
    SpoolStatus {
        path: std::path::Path::new("/var/spool.db").into(),
        since: Some(NOW.before(Duration::from_secs(60))),
        events: 312,
        refused: 2,
        bytes: 1_258_291,
        size: 1 << 30,
        is_full: false,
        handed_over: 7,
        last_error: Some(LedgerError::Slow),
    }
}

/// How the ledger behaves.
#[derive(Debug, Clone, Default)]
pub(crate) enum Mood {
    #[default]
    Well,
    Failing(LedgerError),
    /// It never answers.
    Hanging,
    /// Its orders fail after so many.
    FailingAfter(usize, LedgerError),
}

/// What is in it, and what it was told to do.
#[derive(Default)]
pub(crate) struct FakeLedger {
    pub(crate) events: Mutex<Vec<EventDetail>>,
    pub(crate) deliveries: Mutex<Vec<DeliveryRecord>>,
    pub(crate) refused: Mutex<Vec<RefusedRecord>>,
    pub(crate) stats: Mutex<Stats>,
    pub(crate) groups: Mutex<Vec<DeadGroup>>,
    pub(crate) mood: Mutex<Mood>,
    pub(crate) spool: Mutex<Option<SpoolStatus>>,
    pub(crate) orders: Mutex<Vec<String>>,
    /// The orders that were given, each with its key.
    pub(crate) rows: Mutex<Vec<(Box<str>, OrderRecord)>>,
    pub(crate) redelivered: Mutex<Vec<EventId>>,
    pub(crate) routed: Mutex<Vec<(EventId, Vec<NewDelivery>)>>,
    /// What a backup of it holds.
    pub(crate) copy: Mutex<Vec<u8>>,
    /// Where searches for the first page end because they take too long.
    pub(crate) searched_to: Mutex<Option<EventId>>,
    /// How often it was checked.
    pub(crate) checks: AtomicUsize,
    /// A redelivered delivery is dead again at once.
    pub(crate) redelivers_die: std::sync::atomic::AtomicBool,
}

impl FakeLedger {
    fn answer<T: Send + 'static>(&self, value: impl FnOnce() -> T) -> LedgerFuture<'_, T> {
        match self.mood.lock().unwrap().clone() {
            Mood::Failing(error) => Box::pin(async { Err(error) }),
            Mood::Hanging => Box::pin(std::future::pending()),
            Mood::Well | Mood::FailingAfter(..) => {
                let value = value();
                Box::pin(async { Ok(value) })
            }
        }
    }

    fn order<T: Send + 'static>(&self, said: String, value: impl FnOnce() -> T) -> LedgerFuture<'_, T> {
        let mut orders = self.orders.lock().unwrap();
        if let Mood::FailingAfter(most, error) = self.mood.lock().unwrap().clone()
            && orders.len() >= most
        {
            return Box::pin(async { Err(error) });
        }
        orders.push(said);
        drop(orders);
        self.answer(value)
    }

    fn row(&self, number: u64) -> Option<OrderRecord> {
        self.rows.lock().unwrap().iter().map(|(_, row)| row).find(|row| row.number == number).cloned()
    }

    fn change_row(&self, number: u64, change: impl FnOnce(&mut OrderRecord)) {
        let mut rows = self.rows.lock().unwrap();
        if let Some((_, row)) = rows.iter_mut().find(|(_, row)| row.number == number) {
            change(row);
        }
    }

    fn page<T: Clone, K: Ord + Copy>(all: &[T], page: Page<K>, key: impl Fn(&T) -> K) -> Vec<T> {
        let mut all = all.to_vec();
        all.sort_by_key(&key);
        if page.order == Order::NewestFirst {
            all.reverse();
        }
        let is_behind = |entry: &T| match (page.after, page.order) {
            (None, _) => true,
            (Some(after), Order::NewestFirst) => key(entry) < after,
            (Some(after), Order::OldestFirst) => key(entry) > after,
        };
        all.into_iter().filter(is_behind).take(page.limit as usize).collect()
    }

    /// Changes what is left of a destination and is not being attempted, two at a call.
    fn change_all(&self, destination: &str, mut change: impl FnMut(&mut DeliveryRecord)) -> u64 {
        use DeliveryState::{Dead, Held, Waiting};
        let mut deliveries = self.deliveries.lock().unwrap();
        let left = deliveries
            .iter_mut()
            .filter(|delivery| delivery.destination == destination && matches!(delivery.state, Waiting | Held | Dead));
        left.take(2).map(&mut change).count() as u64
    }

    fn change_dead(&self, ids: &[DeliveryId], state: DeliveryState) -> u64 {
        let mut deliveries = self.deliveries.lock().unwrap();
        let mut changed = 0;
        for delivery in deliveries.iter_mut().filter(|delivery| delivery.state == DeliveryState::Dead) {
            if ids.contains(&delivery.id) {
                delivery.state = state;
                changed += 1;
            }
        }
        changed
    }
}

impl Ledger for FakeLedger {
    fn record(&self, _: NewEvent) -> LedgerFuture<'_, Recorded> {
        unreachable!("operators record nothing")
    }
    fn keep_refused(&self, _: NewRefused) {
        unreachable!("operators refuse nothing")
    }
    fn exchange(&self, _: Exchange) -> LedgerFuture<'_, Exchanged> {
        unreachable!("operators deliver nothing")
    }
    fn renew(&self, _: Vec<Lease>, _: Duration) -> LedgerFuture<'_, Vec<bool>> {
        unreachable!("operators renew nothing")
    }
    fn release(&self, _: Owner) -> LedgerFuture<'_, u64> {
        unreachable!("operators have no leases")
    }
    fn wakes(&self) -> Wakes {
        unreachable!("operators wait for nothing")
    }
    fn prune(&self, _: Prune) -> LedgerFuture<'_, Pruned> {
        unreachable!("operators prune nothing")
    }
    fn close(&self) -> LedgerFuture<'_, ()> {
        unreachable!("operators close nothing")
    }
    fn begin_order(&self, order: NewOrder) -> LedgerFuture<'_, BegunOrder> {
        self.answer(|| {
            let mut rows = self.rows.lock().unwrap();
            if let Some((_, row)) = rows.iter().find(|(key, _)| *key == order.key) {
                return BegunOrder { record: row.clone(), is_new: false };
            }
            let record = OrderRecord {
                number: rows.len() as u64 + 1,
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
                began_at: NOW,
                ended_at: None,
                reason: None,
            };
            rows.push((order.key, record.clone()));
            BegunOrder { record, is_new: true }
        })
    }
    fn carry_out(&self, number: u64, part: OrderPart) -> LedgerFuture<'_, Carried> {
        let is_over = self.row(number).is_none_or(|row| row.state != OrderState::Running);
        if is_over {
            return self.answer(|| Carried { done: 0, is_over: true });
        }
        let (taken, unrouted) = (part.taken(), part.unrouted());
        let work = match part {
            OrderPart::Counting(counted) => {
                self.change_row(number, |row| row.counted = counted.or(row.counted));
                return self.answer(Carried::default);
            }
            OrderPart::Redeliver { events, destination } => {
                let said = format!("redeliver {} to {}", events.len(), destination.as_deref().unwrap_or("all"));
                self.order(said, || {
                    let count = events.len() as u64;
                    self.redelivered.lock().unwrap().extend(events);
                    count
                })
            }
            OrderPart::Route(events) => {
                let routed: Vec<_> = events.into_iter().filter(|(_, deliveries)| !deliveries.is_empty()).collect();
                if routed.is_empty() {
                    self.answer(|| 0)
                } else {
                    self.order(format!("route {}", routed.len()), || {
                        let count = routed.iter().map(|(_, deliveries)| deliveries.len() as u64).sum();
                        self.routed.lock().unwrap().extend(routed);
                        count
                    })
                }
            }
            OrderPart::RedeliverDead(ids) => self.order(format!("redeliver dead {}", ids.len()), || {
                let changed = self.change_dead(&ids, DeliveryState::Redelivered);
                let dies = self.redelivers_die.load(Ordering::Relaxed);
                let state = if dies { DeliveryState::Dead } else { DeliveryState::Waiting };
                let made = ids.iter().map(|id| DeliveryRecord {
                    created_at: NOW,
                    redelivery_of: Some(id.number),
                    order: Some(number),
                    ..delivery(id.event, id.number + 1, state)
                });
                self.deliveries.lock().unwrap().extend(made);
                changed
            }),
            OrderPart::DropDead(ids) => {
                self.order(format!("drop {}", ids.len()), || self.change_dead(&ids, DeliveryState::Dropped))
            }
            OrderPart::Move { from, to } => self.order(format!("move from {from} to {to}"), || {
                self.change_all(&from, |left| left.destination = to.to_string())
            }),
            OrderPart::Drop { destination } => self.order(format!("drop all of {destination}"), || {
                self.change_all(&destination, |left| left.state = DeliveryState::Dropped)
            }),
        };
        Box::pin(async move {
            let done = work.await?;
            self.change_row(number, |row| {
                row.taken += taken.unwrap_or(done);
                row.done += done;
                row.unrouted += unrouted;
            });
            Ok(Carried { done, is_over: false })
        })
    }
    fn end_order(&self, number: u64, end: OrderEnd) -> LedgerFuture<'_, Option<OrderRecord>> {
        let (state, reason) = match end {
            OrderEnd::Done => (OrderState::Done, None),
            OrderEnd::Failed(reason) => (OrderState::Failed, Some(reason)),
            OrderEnd::BrokenOff => (OrderState::BrokenOff, None),
        };
        self.change_row(number, |row| {
            if row.state == OrderState::Running {
                (row.state, row.reason, row.ended_at) = (state, reason.map(String::from), Some(NOW));
            }
        });
        self.answer(|| self.row(number))
    }
    fn cancel_order(&self, number: u64) -> LedgerFuture<'_, Option<OrderRecord>> {
        self.change_row(number, |row| {
            if row.state == OrderState::Running {
                (row.state, row.ended_at) = (OrderState::Cancelled, Some(NOW));
            }
        });
        self.answer(|| self.row(number))
    }
    fn orders(&self, page: Page<u64>) -> LedgerFuture<'_, Vec<OrderRecord>> {
        let rows: Vec<_> = self.rows.lock().unwrap().iter().map(|(_, row)| row.clone()).collect();
        self.answer(|| Self::page(&rows, page, |row| row.number))
    }
    fn order(&self, number: u64) -> LedgerFuture<'_, Option<OrderRecord>> {
        self.answer(|| self.row(number))
    }
    fn present(&self) -> LedgerFuture<'_, Moment> {
        self.answer(|| NOW)
    }
    fn backup(&self) -> LedgerFuture<'_, Backup> {
        self.answer(|| {
            let mut file = tempfile::tempfile().unwrap();
            std::io::Write::write_all(&mut file, &self.copy.lock().unwrap()).unwrap();
            std::io::Seek::rewind(&mut file).unwrap();
            Backup::new(file).unwrap()
        })
    }
    fn events(&self, filter: EventFilter, page: Page<EventId>) -> LedgerFuture<'_, Vec<EventRecord>> {
        self.answer(|| {
            let matches = |event: &&EventDetail| {
                let record = &event.record;
                let is_called = |text: &String| record.issue.as_ref().is_some_and(|issue| issue.is_called(text));
                filter.since.is_none_or(|since| record.received_at >= since)
                    && filter.until.is_none_or(|until| record.received_at < until)
                    && filter.kind.as_ref().is_none_or(|kind| *kind == record.kind_or_name())
                    && filter.endpoint.as_ref().is_none_or(|endpoint| *endpoint == record.endpoint)
                    && filter.state.is_none_or(|state| state == record.state)
                    && filter.contains.as_ref().is_none_or(|text| body_contains(&event.body, text))
                    && filter.issue.as_ref().is_none_or(is_called)
                    && filter
                        .term
                        .as_ref()
                        .is_none_or(|term| Terms::of(&event.body, &record.name, record.kind.as_deref()).contain(term))
                    && filter.id.as_ref().is_none_or(|part| part.matches(record.id))
            };
            let events = self.events.lock().unwrap();
            let matching: Vec<_> = events.iter().filter(matches).map(|event| event.record.clone()).collect();
            Self::page(&matching, page, |event| event.id)
        })
    }
    fn search(&self, filter: EventFilter, page: Page<EventId>, _: Duration) -> LedgerFuture<'_, FoundEvents> {
        let searched_to = *self.searched_to.lock().unwrap();
        Box::pin(async move {
            let events = self.events(filter, page).await?;
            Ok(FoundEvents { events, searched_to: searched_to.filter(|_| page.after.is_none()) })
        })
    }
    fn event(&self, id: EventId) -> LedgerFuture<'_, Option<EventDetail>> {
        self.answer(|| self.events.lock().unwrap().iter().find(|event| event.record.id == id).cloned())
    }
    fn deliveries(&self, filter: DeliveryFilter, page: Page<DeliveryId>) -> LedgerFuture<'_, Vec<DeliveryRecord>> {
        self.answer(|| {
            let matches = |delivery: &&DeliveryRecord| {
                filter.event.is_none_or(|event| event == delivery.id.event)
                    && filter.destination.as_ref().is_none_or(|destination| *destination == delivery.destination)
                    && filter.state.is_none_or(|state| state == delivery.state)
                    && filter.code.as_deref().is_none_or(|code| code == delivery.code.as_deref().unwrap_or("none"))
                    && filter.since.is_none_or(|since| delivery.id.event.received_at() >= since)
                    && filter.until.is_none_or(|until| delivery.id.event.received_at() < until)
                    && filter.died_before.is_none_or(|before| {
                        let died = delivery.finished_at.unwrap_or(delivery.created_at);
                        delivery.state == DeliveryState::Dead && died < before
                    })
                    && filter
                        .issue
                        .as_ref()
                        .is_none_or(|text| delivery.issue.as_ref().is_some_and(|issue| issue.is_called(text)))
            };
            let deliveries = self.deliveries.lock().unwrap();
            let matching: Vec<_> = deliveries.iter().filter(matches).cloned().collect();
            Self::page(&matching, page, |delivery| delivery.id)
        })
    }
    fn refused(&self, filter: RefusedFilter, page: Page<u64>) -> LedgerFuture<'_, Vec<RefusedRecord>> {
        self.answer(|| {
            let matches = |refused: &&RefusedRecord| {
                filter.endpoint.as_ref().is_none_or(|endpoint| refused.endpoint.as_ref() == Some(endpoint))
                    && filter.code.as_ref().is_none_or(|code| *code == refused.code)
            };
            let refused = self.refused.lock().unwrap();
            let matching: Vec<_> = refused.iter().filter(matches).cloned().collect();
            Self::page(&matching, page, |refused| refused.number)
        })
    }
    fn dead_groups(&self) -> LedgerFuture<'_, Vec<DeadGroup>> {
        self.answer(|| self.groups.lock().unwrap().clone())
    }
    fn stats(&self) -> LedgerFuture<'_, Stats> {
        self.answer(|| self.stats.lock().unwrap().clone())
    }
    fn spool(&self) -> Option<SpoolStatus> {
        self.spool.lock().unwrap().clone()
    }
    fn check(&self) -> LedgerFuture<'_, ()> {
        self.checks.fetch_add(1, Ordering::Relaxed);
        self.answer(|| ())
    }
}

/// A receiver that does nothing.
#[derive(Default)]
pub(crate) struct FakeRunning {
    pub(crate) role: Mutex<Role>,
    pub(crate) destinations: Mutex<Vec<RunningDestination>>,
    pub(crate) unmet: Mutex<Vec<String>>,
    pub(crate) warnings: Mutex<Vec<String>>,
    pub(crate) certificates: Mutex<Vec<CertificateEnd>>,
    pub(crate) activity: Mutex<Option<Activity>>,
}

impl Running for FakeRunning {
    fn role(&self) -> Role {
        *self.role.lock().unwrap()
    }
    fn destinations(&self) -> Vec<RunningDestination> {
        self.destinations.lock().unwrap().clone()
    }
    /// Every event of a known kind goes to `app`, in the order of its issue.
    fn routes(&self, endpoint: &str, event: &WebhookEvent) -> Vec<NewDelivery> {
        assert_eq!(endpoint, "support");
        let number = event.text("issue_number");
        let order_key = (!number.is_empty()).then(|| number.as_ref().into());
        event.kind().map(|_| NewDelivery { destination: "app".into(), order_key }).into_iter().collect()
    }
    fn unmet(&self) -> Vec<String> {
        self.unmet.lock().unwrap().clone()
    }
    fn warnings(&self) -> Vec<String> {
        self.warnings.lock().unwrap().clone()
    }
    fn activity(&self) -> Activity {
        self.activity.lock().unwrap().clone().unwrap_or_else(activity)
    }
    fn certificates(&self) -> Vec<CertificateEnd> {
        self.certificates.lock().unwrap().clone()
    }
    fn config(&self) -> String {
        "listen = \"127.0.0.1:8080\"\n".to_owned()
    }
}

/// A destination of the fake receiver; an open circuit stays open for 1.5 s.
pub(crate) fn destination(name: &str, circuit: CircuitStatus) -> RunningDestination {
    let open_for = (circuit == CircuitStatus::Open).then_some(Duration::from_millis(1500));
    let is_failing = Some(circuit != CircuitStatus::Closed);
    RunningDestination { name: name.into(), circuit: Some(circuit), open_for, is_failing }
}

/// A receiver with the endpoint `support` and the destinations `app` and `archive` that has started now.
pub(crate) fn activity() -> Activity {
    let secret = SecretStatus { source: "environment variable SUPPORT_SECRET".to_owned(), fault: None };
    let endpoint = EndpointActivity {
        name: "support".to_owned(),
        path: "/support".to_owned(),
        signature: true,
        header: None,
        secrets: vec![secret],
        can_authenticate: true,
        seen: EndpointSeen::default(),
    };
    let retry =
        RetrySummary { attempts: 30, age_seconds: 259_200.0, first_delay_seconds: 1.0, longest_delay_seconds: 3600.0 };
    let there = |name: &str| DestinationActivity {
        name: name.to_owned(),
        address: format!("http://{name}:8000/webhook"),
        retry,
        seen: DestinationSeen::default(),
    };
    Activity {
        since: NOW,
        addresses: vec!["http://127.0.0.1:8080".to_owned()],
        endpoints: vec![endpoint],
        destinations: vec![there("app"), there("archive")],
        elsewhere: None,
    }
}

/// A router with what is behind it.
pub(crate) struct Admin {
    pub(crate) ledger: Arc<FakeLedger>,
    pub(crate) running: Arc<FakeRunning>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) router: Router,
}

impl Admin {
    /// A running receiver with the destinations `app` and `archive`.
    pub(crate) fn new(access: Access) -> Self {
        Self::with(access, true)
    }

    /// A ledger that is only read.
    pub(crate) fn reading() -> Self {
        Self::with(Access::Loopback, false)
    }

    /// A running receiver whose page has a name, and stands behind a proxy at this URL.
    pub(crate) fn behind(access: Access, public_url: &'static str) -> Self {
        let options = OperatorsOptions {
            public_url: Some(public_url.parse().unwrap()),
            instance: "acme <production>".into(),
            ..OperatorsOptions::new(access)
        };
        Self::made(options, true)
    }

    fn with(access: Access, is_running: bool) -> Self {
        Self::made(OperatorsOptions::new(access), is_running)
    }

    fn made(options: OperatorsOptions, is_running: bool) -> Self {
        let (ledger, running, metrics) =
            (Arc::new(FakeLedger::default()), Arc::new(FakeRunning::default()), Arc::new(Metrics::new()));
        *running.destinations.lock().unwrap() =
            vec![destination("app", CircuitStatus::Closed), destination("archive", CircuitStatus::Closed)];
        let parts = AdminParts {
            is_shared: false,
            ledger: ledger.clone(),
            running: is_running.then(|| running.clone() as Arc<dyn Running>),
            metrics: metrics.clone(),
            clock: Arc::new(|| NOW),
            orders: Arc::default(),
        };
        Self { ledger, running, metrics, router: operators_router(parts, options) }
    }

    /// Five hundred and so many events, or a few.
    pub(crate) fn with_events(self, count: i64) -> Self {
        let events = (0..count).map(|index| event(event_id(count - index), "issue_new", b"{}"));
        *self.ledger.events.lock().unwrap() = events.collect();
        self
    }

    /// Asks from this machine with exactly these headers.
    pub(crate) async fn send(&self, method: &str, target: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        self.send_from(IpAddr::from([127, 0, 0, 1]).into(), method, target, headers, body).await
    }

    /// Asks from this address with exactly these headers.
    pub(crate) async fn send_from(
        &self,
        address: Option<IpAddr>,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Answer {
        let mut request = Request::builder().method(method).uri(target);
        if let Some(address) = address {
            request = request.extension(SocketAddr::from((address, 4711)));
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::from(body.to_owned())).unwrap();
        let response = self.router.clone().call(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = to_bytes(body, usize::MAX).await.unwrap();
        Answer { status: parts.status, headers: parts.headers, body }
    }

    /// Asks from this machine.
    pub(crate) async fn get(&self, target: &str) -> Answer {
        self.send("GET", target, &[("host", "localhost:8081")], "").await
    }

    /// Orders from this machine.
    pub(crate) async fn post(&self, target: &str, body: &str) -> Answer {
        self.send("POST", target, &[("host", "127.0.0.1:8081"), ("content-type", "application/json")], body).await
    }
}

/// What was answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The JSON of an answer with this status.
    #[track_caller]
    pub(crate) fn json(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text());
        assert_eq!(self.header("content-type"), "application/json");
        serde_json::from_slice(&self.body).unwrap()
    }

    /// What came of an order: without its number and its state, and without the preview of a dry run.
    #[track_caller]
    pub(crate) fn result(&self) -> Value {
        let mut result = self.json(200);
        let fields = result.as_object_mut().unwrap();
        let (order, state) = (fields.remove("order"), fields.remove("state"));
        assert!(order.is_none() || state == Some("done".into()), "{}", self.text());
        fields.remove("preview");
        result
    }

    /// The refusal, and nothing beside it.
    #[track_caller]
    pub(crate) fn refused(&self, status: u16, error: &str, message: &str) {
        assert_eq!(self.json(status), serde_json::json!({ "error": error, "message": message }));
    }
}
