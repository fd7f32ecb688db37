//! Work that ends in the middle: its caller leaves, the server says nothing more, the connection is cut, wherever it is. Nothing is lost or
//! done by halves, and no connection with a transaction is used by others.

use super::place::database;
use super::proxy::Proxy;
use super::stage::{Stage, numbered};
use crate::ledger::by_hand::another_order;
use crate::ledger::contract::{Ask, Draft, attempt, claim, delivery, owner, retry};
use pylon_receiver::EventId;
use pylon_receiver::ledger::*;
use pylon_test_support::postgres::Cluster;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

/// The server says nothing for longer than this, once it says nothing.
const ANSWER_WITHIN: Duration = Duration::from_millis(150);
/// More answers than anything here waits for.
const MOST_ANSWERS: u64 = 60;

/// A ledger, a handle of it behind a proxy, and another one beside it.
struct Scene {
    stage: Stage,
    proxy: Proxy,
    name: String,
    behind: Arc<dyn Ledger>,
    beside: Arc<dyn Ledger>,
}

impl Scene {
    async fn open() -> Option<Self> {
        let stage = Stage::open().await?;
        let proxy = Proxy::to(Cluster::shared()?);
        let name = format!("broken_{:016x}", fastrand::u64(..));
        let options = PostgresOptions { answer_within: ANSWER_WITHIN, ..PostgresOptions::default() };
        let url = format!("{}&application_name={name}", proxy.url_as("postgres", database()));
        let behind = stage.ledger_by(&url, options).await;
        let beside = stage.ledger().await;
        Some(Self { stage, proxy, name, behind, beside })
    }

    /// Waits until no session has a transaction that nobody goes on with. Where somebody went on with another's, or ended none, the
    /// server has warned.
    async fn no_transaction_is_left(&self) {
        let left = format!(
            "SELECT count(*) = 0 FROM pg_stat_activity WHERE application_name LIKE '{} %' AND state LIKE 'idle in transaction%'",
            self.name
        );
        self.stage.until("no transaction is left open", &left).await;
        let notices = self.proxy.notices();
        assert!(!notices.iter().any(|notice| notice.contains("transaction in progress")), "{notices:?}");
    }

    /// Events, each with a delivery to "app", in one line. Returns their ids.
    async fn events(&self, from: u32, count: u32) -> Vec<EventId> {
        let mut ids = Vec::new();
        for number in from..from + count {
            let event = numbered(number).in_line("app", &format!("line {from}"));
            ids.push(event.id);
            assert_eq!(self.beside.record(event).await, Ok(Recorded::Stored));
        }
        ids
    }

    /// The leases of as many as are due.
    async fn lease(&self) -> Vec<Lease> {
        let claimed = self.beside.exchange(claim(0).exchange()).await.unwrap().claimed.deliveries;
        claimed.into_iter().map(|leased| leased.lease).collect()
    }
}

/// Polls a future so many times, then drops it; says what it has answered by then.
async fn polled<T>(times: usize, future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    let mut left = times;
    poll_fn(|context| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        match future.as_mut().poll(context) {
            Poll::Ready(answer) => Poll::Ready(Some(answer)),
            Poll::Pending if left == 0 => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

fn settle(lease: Lease, verdict: Verdict, claim: Option<Claim>) -> Exchange {
    let settlements = vec![Settlement { lease, verdict, attempt: Some(attempt(200, "")) }];
    Exchange { destination: "app".into(), settlements, claim }
}

/// A caller who leaves before the first poll has begun nothing; any other one has it done all the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_caller_does_not_wait_for_is_done_to_its_end() {
    let Some(scene) = Scene::open().await else { return };
    let Scene { stage, behind, .. } = &scene;
    for times in 0..4 {
        let begun = i64::from(times > 0);
        let number = times as u32 * 100;
        let event = numbered(number).in_line("app", "line");
        let id = event.id;
        drop(polled(times, behind.record(event)).await);
        let kept = format!("SELECT count(*) = {begun} FROM events");
        stage.until("it is recorded", &kept).await;
        if begun == 0 {
            assert_eq!(behind.record(numbered(number).in_line("app", "line")).await, Ok(Recorded::Stored));
        }
        // A claim of which nobody heard is given back by its time; here its owner does.
        drop(polled(times, behind.exchange(claim(0).exchange())).await);
        stage.until("it is leased", &format!("SELECT count(*) = {begun} FROM open WHERE state = 2")).await;
        drop(polled(times, behind.release(owner(1))).await);
        stage.until("it is given back", "SELECT count(*) = 0 FROM open WHERE state = 2").await;
        let lease = scene.lease().await[0];
        drop(polled(times, behind.exchange(settle(lease, Verdict::Dead("over".into()), None))).await);
        stage.until("it is settled", &format!("SELECT count(*) = {begun} FROM finished")).await;
        if begun == 0 {
            let settled = behind.exchange(settle(lease, Verdict::Dead("over".into()), None)).await.unwrap().settled;
            assert_eq!(settled, [Settled::Recorded]);
        }
        let order = behind.begin_order(another_order()).await.unwrap().record.number;
        drop(polled(times, behind.carry_out(order, OrderPart::DropDead(vec![delivery(id, 1)]))).await);
        stage.until("it is dropped", &format!("SELECT count(*) = {begun} FROM finished WHERE state = 5")).await;
        let prune = Prune { owner: owner(1), kept_for: Some(Duration::ZERO) };
        drop(polled(times, behind.prune(prune)).await);
        stage.until("it is forgotten", &format!("SELECT count(*) = {} FROM events", 1 - begun)).await;
        stage.check_numbers(&**behind).await;
        stage.sql("TRUNCATE events, open, finished, attempts, tallies, orders").await;
        scene.no_transaction_is_left().await;
    }
}

/// The time for an answer ends wherever the work is: its future is dropped there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_runs_out_of_time_after_any_answer_is_asked_for_again() {
    let Some(scene) = Scene::open().await else { return };
    let Scene { stage, proxy, behind, beside, .. } = &scene;
    let mut silences = 0;
    for answers in 0..MOST_ANSWERS {
        let from = answers as u32 * 100;
        // What is asked again until it works, the first time with so many answers.
        macro_rules! ask {
            ($ask:expr) => {{
                proxy.pass_answers(Some(answers));
                let mut result = $ask.await;
                silences += u32::from(result.is_err());
                proxy.pass_answers(None);
                let mut tries = 0;
                while let Err(error) = &result {
                    assert!(matches!(error, LedgerError::Unreachable(_)) && tries < 100, "{answers} answers: {error}");
                    tries += 1;
                    result = $ask.await;
                }
                result.unwrap()
            }};
        }
        let before = silences;
        let new = || numbered(from).in_line("app", "line").keyed(&format!("key {from}"), None);
        assert_eq!(ask!(behind.record(new())), Recorded::Stored);
        assert_eq!(beside.record(numbered(from + 1).in_line("app", "line")).await, Ok(Recorded::Stored));
        let ask = Ask { lease: 3600, ..claim(0) };
        let mut leased = ask!(behind.exchange(ask.exchange())).claimed.deliveries;
        // One that is still locked by a claim that is about to end is due soon.
        while leased.is_empty() {
            leased = behind.exchange(ask.exchange()).await.map_or_else(|_| Vec::new(), |it| it.claimed.deliveries);
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        let [first] = &*leased else { panic!("{answers} answers: one of the line goes, found {leased:?}") };
        assert_eq!((first.attempt, first.is_suspect), (1, false), "{answers} answers: a lost claim is no interruption");
        assert_eq!(ask!(behind.renew(vec![first.lease], Duration::from_secs(3600))), [true]);
        // With a claim and without.
        let exchange = settle(first.lease, Verdict::Delivered, Some(ask.claim()));
        let exchanged = ask!(behind.exchange(exchange.clone()));
        assert_eq!(exchanged.settled, [Settled::Recorded], "{answers} answers");
        let mut leased = exchanged.claimed.deliveries;
        while leased.is_empty() {
            leased = behind.exchange(ask.exchange()).await.map_or_else(|_| Vec::new(), |it| it.claimed.deliveries);
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        let [second] = &*leased else { panic!("{answers} answers: {leased:?}") };
        assert_eq!(second.lease.delivery.event, numbered(from + 1).id, "{answers} answers: the next of the line");
        ask!(behind.release(owner(1)));
        assert_eq!(stage.number("SELECT count(*) FROM open WHERE state = 2").await, 0, "{answers} answers");
        let lease = scene.lease().await[0];
        let settled = ask!(behind.exchange(settle(lease, retry(0), None))).settled;
        // It was leased by another handle, which is not known to have lost an answer.
        assert_eq!(settled, [Settled::Recorded], "{answers} answers");
        let lease = scene.lease().await[0];
        let settled = beside.exchange(settle(lease, Verdict::Delivered, None)).await.unwrap().settled;
        assert_eq!(settled, [Settled::Recorded]);
        let counts = "SELECT (SELECT count(*) FROM open) * 1000 + (SELECT count(*) FROM finished)";
        assert_eq!(stage.number(counts).await, 2 * (answers as i64 + 1), "{answers} answers: each ends once");
        stage.check_numbers(&**behind).await;
        scene.no_transaction_is_left().await;
        if silences == before {
            assert!(answers > 4, "something waited for the server");
            return;
        }
    }
    panic!("it is never answered in time");
}

/// An order of an operator.
#[derive(Debug, Clone, Copy)]
enum Order {
    Redeliver,
    Route,
    RedeliverDead,
    DropDead,
    Move,
    Drop,
    Prune,
}

impl Order {
    const ALL: [Self; 7] =
        [Self::Redeliver, Self::Route, Self::RedeliverDead, Self::DropDead, Self::Move, Self::Drop, Self::Prune];

    /// Gives a part of an order that another handle has begun.
    async fn give(
        self,
        ledger: Arc<dyn Ledger>,
        beside: Arc<dyn Ledger>,
        ids: Vec<EventId>,
    ) -> Result<(), LedgerError> {
        let first = || ids.iter().map(|id| delivery(*id, 1)).collect();
        let new = || vec![NewDelivery { destination: "routed".into(), order_key: Some("a".into()) }];
        let part = match self {
            Self::Redeliver => OrderPart::Redeliver { events: ids, destination: Some("again".into()) },
            Self::Route => OrderPart::Route(ids.into_iter().map(|id| (id, new())).collect()),
            Self::RedeliverDead => OrderPart::RedeliverDead(first()),
            Self::DropDead => OrderPart::DropDead(first()),
            Self::Move => OrderPart::Move { from: "app".into(), to: "moved".into() },
            Self::Drop => OrderPart::Drop { destination: "app".into() },
            Self::Prune => {
                let prune = Prune { owner: owner(1), kept_for: Some(Duration::ZERO) };
                return ledger.prune(prune).await.map(drop);
            }
        };
        let number = beside.begin_order(another_order()).await?.record.number;
        let carried = ledger.carry_out(number, part).await?;
        assert!(!carried.is_over, "nobody has ended it");
        let order = beside.order(number).await?.expect("it is kept");
        assert_eq!(order.done, carried.done, "its numbers are those of what is done");
        Ok(())
    }

    /// Counts what shows that it is done, of three events.
    const fn done(self) -> &'static str {
        match self {
            Self::Redeliver => "SELECT count(*) FROM open WHERE destination = 'again'",
            Self::Route => "SELECT count(*) FROM open WHERE destination = 'routed'",
            Self::RedeliverDead => "SELECT count(*) FROM finished WHERE state = 6",
            Self::DropDead => "SELECT count(*) FROM finished WHERE state = 5",
            Self::Move => "SELECT count(*) FROM open WHERE destination = 'moved'",
            Self::Drop => "SELECT count(*) FROM finished WHERE state = 5",
            Self::Prune => "SELECT 3 - count(*) FROM events",
        }
    }

    /// How its events stand before: dead, delivered, waiting, or nowhere to go.
    async fn prepare(self, scene: &Scene, from: u32) -> Vec<EventId> {
        if matches!(self, Self::Route) {
            let events: Vec<_> = (from..from + 3).map(numbered).collect();
            let ids = events.iter().map(|event| event.id).collect();
            for event in events {
                assert_eq!(scene.beside.record(event).await, Ok(Recorded::Stored));
            }
            return ids;
        }
        let ids = scene.events(from, 3).await;
        let verdict = match self {
            Self::RedeliverDead | Self::DropDead => Verdict::Dead("over".into()),
            Self::Redeliver | Self::Prune => Verdict::Delivered,
            _ => return ids,
        };
        for _ in 0..3 {
            for lease in scene.lease().await {
                scene.beside.exchange(settle(lease, verdict.clone(), None)).await.unwrap();
            }
        }
        ids
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_that_is_cut_off_after_any_answer_is_done_as_a_whole_or_not_at_all() {
    let Some(scene) = Scene::open().await else { return };
    let Scene { stage, proxy, behind, beside, .. } = &scene;
    for order in Order::ALL {
        let mut cuts = 0;
        for answers in 0..MOST_ANSWERS {
            let ids = order.prepare(&scene, answers as u32 * 100).await;
            proxy.pass_answers(Some(answers));
            let task = tokio::spawn(order.give(behind.clone(), beside.clone(), ids.clone()));
            while !task.is_finished() && !proxy.has_passed_answers() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            let is_cut = proxy.has_passed_answers();
            proxy.cut();
            proxy.pass_answers(None);
            let told = task.await.unwrap();
            let context = format!("{order:?} after {answers} answers: {told:?}");
            assert!(matches!(told, Ok(()) | Err(LedgerError::Unreachable(_))), "{context}");
            scene.no_transaction_is_left().await;
            let done = stage.number(order.done()).await;
            assert!(done == 3 || done == 0 && told.is_err(), "{context}: {done} of 3");
            stage.check_numbers(&**beside).await;
            if done == 0 {
                let again = || order.give(behind.clone(), beside.clone(), ids.clone());
                super::until_it_works(again).await;
                assert_eq!(stage.number(order.done()).await, 3, "{context}, asked again");
                stage.check_numbers(&**beside).await;
            }
            stage.sql("TRUNCATE events, open, finished, attempts, tallies, orders").await;
            cuts += 1;
            if !is_cut {
                break;
            }
        }
        assert!((3..MOST_ANSWERS).contains(&cuts), "{order:?}: {cuts}");
    }
    drop(scene);
}
