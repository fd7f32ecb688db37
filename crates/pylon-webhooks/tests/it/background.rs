//! Handlers that run after the answer: what is accepted, what is turned away, and what `close` waits for.

use pylon_test_support::log::logged;
use pylon_webhooks::testing::WebhookRequest;
use pylon_webhooks::{
    Background, Endpoint, Error, MemoryReplayStore, Outcome, ReplayGuard, ReplayStore, Secret, StoreFuture,
    WebhookEvent, WebhookHandler,
};
use std::collections::BTreeSet;
use std::future::{Future, pending, ready};
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::sync::{Notify, Semaphore, mpsc};
use tokio::task::yield_now;

const SECRET: &str = "test-secret";

fn background(capacity: u32, workers: u32) -> Background {
    Background::new().capacity(capacity).workers(workers)
}

fn handler() -> WebhookHandler {
    WebhookHandler::new(SECRET).unwrap()
}

/// An authentic delivery of its own number.
fn delivery(number: usize) -> WebhookRequest {
    let body = format!("{{\"event_type\": \"issue_new\", \"issue_number\": {number}}}");
    WebhookRequest::new(body).signed(&Secret::new(SECRET).unwrap())
}

async fn send<R: Send + 'static>(endpoint: &Endpoint<R>, request: &WebhookRequest) -> Outcome {
    match endpoint.admit(&request.method, request.header_pairs()) {
        Ok(admitted) => endpoint.respond(admitted, &request.body).await,
        Err(outcome) => outcome,
    }
}

/// A handler that notes each event's number and then waits to be let on.
fn waiting(handler: &mut WebhookHandler) -> (mpsc::UnboundedReceiver<String>, Arc<Semaphore>) {
    let (started, starts) = mpsc::unbounded_channel();
    let gate = Arc::new(Semaphore::new(0));
    let held = Arc::clone(&gate);
    handler.on_any_async(move |event: WebhookEvent| {
        let (started, held) = (started.clone(), Arc::clone(&held));
        async move {
            started.send(event.text("issue_number").into_owned()).unwrap();
            held.acquire().await.unwrap().forget();
        }
    });
    (starts, gate)
}

/// Lets every other task go as far as it can, on a runtime of one thread.
async fn settle() {
    for _ in 0..100 {
        yield_now().await;
    }
}

fn poll_once<T>(future: std::pin::Pin<&mut impl Future<Output = T>>) -> Poll<T> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// Runs it on a runtime of this thread, so that what it logs is seen.
fn run<T>(test: impl Future<Output = T>) -> (T, Vec<String>) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    logged(|| runtime.block_on(test))
}

const FAILED: &str = "ERROR message=a delivery was not handled outcome=\"failed\" code=\"handlers\" reason=\"a \
                      handler \
                      failed: the database is gone\"";
const LOST: &str = "ERROR message=an accepted event is lost: the runtime ended before its handlers did";

/// A store that remembers, and does not answer when it is to forget.
struct NeverForgets(Mutex<BTreeSet<String>>);

impl ReplayStore for NeverForgets {
    fn first_seen<'a>(&'a self, key: &'a str, _: Option<u64>) -> StoreFuture<'a, bool> {
        Box::pin(ready(Ok(self.0.lock().unwrap().insert(key.into()))))
    }

    fn forget<'a>(&'a self, _: &'a str) -> StoreFuture<'a, ()> {
        Box::pin(pending())
    }
}

/// One that takes all for new, and panics when it is to forget.
struct PanicsToForget;

impl ReplayStore for PanicsToForget {
    fn first_seen<'a>(&'a self, _: &'a str, _: Option<u64>) -> StoreFuture<'a, bool> {
        Box::pin(ready(Ok(true)))
    }

    fn forget<'a>(&'a self, _: &'a str) -> StoreFuture<'a, ()> {
        panic!("this store panics on purpose")
    }
}

#[tokio::test]
async fn the_answer_comes_before_the_handler_is_through() {
    let mut handler = handler();
    let (mut starts, gate) = waiting(&mut handler);
    let endpoint = Endpoint::builder(handler).background(background(1, 1)).build();
    assert_eq!(send(&endpoint, &delivery(7)).await, Outcome::Accepted);
    assert!(starts.try_recv().is_err(), "the answer was there before the handler began");
    assert_eq!(starts.recv().await.unwrap(), "7");
    gate.add_permits(1);
    endpoint.close().await;
}

#[tokio::test]
async fn what_is_refused_is_refused_at_once() {
    let mut handler = handler();
    handler.on_any(|_| -> () { panic!("no handler is for a refusal") });
    let endpoint = Endpoint::builder(handler).background(background(1, 1)).build();
    let secret = Secret::new(SECRET).unwrap();
    let forged = WebhookRequest::new("{}").signed(&Secret::new("another-secret").unwrap());
    let not_json = WebhookRequest::new("event=issue_new").signed(&secret);
    // More of them than the queue has places: a refusal takes none.
    for _ in 0..3 {
        assert_eq!(send(&endpoint, &forged).await, Outcome::Unauthorized);
        assert_eq!(send(&endpoint, &not_json).await, Outcome::Unreadable);
    }
    endpoint.close().await;
}

#[test]
fn a_full_queue_turns_further_events_away_until_one_is_through() {
    let ((), lines) = run(async {
        let mut handler = handler();
        let (mut starts, gate) = waiting(&mut handler);
        let endpoint = Endpoint::builder(handler).background(background(2, 1)).build();
        assert_eq!(send(&endpoint, &delivery(1)).await, Outcome::Accepted);
        assert_eq!(send(&endpoint, &delivery(2)).await, Outcome::Accepted);
        assert_eq!(send(&endpoint, &delivery(3)).await, Outcome::Unavailable, "none has begun");
        assert_eq!(starts.recv().await.unwrap(), "1");
        settle().await;
        assert_eq!(send(&endpoint, &delivery(3)).await, Outcome::Unavailable, "the one that runs counts as well");
        gate.add_permits(1);
        assert_eq!(starts.recv().await.unwrap(), "2");
        assert_eq!(send(&endpoint, &delivery(3)).await, Outcome::Accepted);
        gate.add_permits(2);
        endpoint.close().await;
        assert_eq!(starts.recv().await.unwrap(), "3");
    });
    let line =
        "WARN message=a request was answered 503: 2 events are waiting already outcome=\"unavailable\"".to_owned();
    assert_eq!(lines, [line.clone(), line]);
}

#[tokio::test]
async fn an_event_that_was_turned_away_is_no_duplicate_when_it_comes_again() {
    let mut handler = handler();
    let (mut starts, gate) = waiting(&mut handler);
    let guard = ReplayGuard::exact_request(MemoryReplayStore::new(10));
    let endpoint = Endpoint::builder(handler).background(background(1, 1)).replay_guard(guard).build();
    assert_eq!(send(&endpoint, &delivery(1)).await, Outcome::Accepted);
    assert_eq!(send(&endpoint, &delivery(2)).await, Outcome::Unavailable);
    assert_eq!(send(&endpoint, &delivery(1)).await, Outcome::Duplicate, "which takes no place in the queue");
    gate.add_permits(2);
    assert_eq!(starts.recv().await.unwrap(), "1");
    settle().await;
    assert_eq!(send(&endpoint, &delivery(2)).await, Outcome::Accepted);
    endpoint.close().await;
    assert_eq!(starts.recv().await.unwrap(), "2");
}

#[test]
fn a_handler_that_fails_is_told_to_those_on_error_and_to_the_log() {
    let ((told, outcome), lines) = run(async {
        let mut handler = handler();
        handler.on_any(|_| Err::<(), _>("the database is gone"));
        let told = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&told);
        handler.on_error(move |error: &Error| noted.lock().unwrap().push(error.to_string()));
        let endpoint = Endpoint::builder(handler).background(background(1, 1)).build();
        let outcome = send(&endpoint, &delivery(1)).await;
        endpoint.close().await;
        (told, outcome)
    });
    assert_eq!(outcome, Outcome::Accepted, "the sender has its answer by then");
    assert_eq!(*told.lock().unwrap(), ["a handler failed: the database is gone"]);
    assert_eq!(lines, [FAILED]);
}

#[test]
fn copies_of_what_was_accepted_are_duplicates_at_once_and_until_it_fails() {
    let ((), lines) = run(async {
        let mut handler = handler();
        let (begun, go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (in_begun, in_go) = (Arc::clone(&begun), Arc::clone(&go));
        handler.on_any_async(move |_: WebhookEvent| {
            let (begun, go) = (Arc::clone(&in_begun), Arc::clone(&in_go));
            async move {
                begun.notify_one();
                go.notified().await;
                Err::<(), _>("the database is gone")
            }
        });
        let guard = ReplayGuard::exact_request(MemoryReplayStore::new(10));
        let endpoint = Endpoint::builder(handler).background(background(5, 1)).replay_guard(guard).build();
        for _ in 0..2 {
            assert_eq!(send(&endpoint, &delivery(1)).await, Outcome::Accepted);
            assert_eq!(send(&endpoint, &delivery(1)).await, Outcome::Duplicate, "before the handler has begun");
            begun.notified().await;
            assert_eq!(send(&endpoint, &delivery(1)).await, Outcome::Duplicate, "while it runs");
            go.notify_one();
            settle().await;
        }
        endpoint.close().await;
    });
    let duplicate = "INFO message=a duplicate was answered and not handled event=\"issue_new\"";
    assert_eq!(lines, [duplicate, duplicate, FAILED].repeat(2));
}

/// Accepts three on a runtime of its own, drops that when they have come as far as is asked, and gives what was logged.
fn lost(endpoint: &Endpoint, have_begun: bool) -> Vec<String> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let ((), lines) = logged(|| {
        runtime.block_on(async {
            for number in 1..=3 {
                assert_eq!(send(endpoint, &delivery(number)).await, Outcome::Accepted);
            }
            if have_begun {
                settle().await;
            }
        });
        drop(runtime);
    });
    lines
}

#[test]
fn each_accepted_event_that_the_runtime_drops_is_told_of_and_may_come_again() {
    for have_begun in [false, true] {
        let mut handler = handler();
        let (mut starts, gate) = waiting(&mut handler);
        let guard = ReplayGuard::exact_request(MemoryReplayStore::new(10));
        // Made outside a runtime: each event runs where it is accepted.
        let endpoint = Endpoint::builder(handler).background(background(3, 1)).replay_guard(guard).build();
        assert_eq!(lost(&endpoint, have_begun), [LOST; 3]);
        assert_eq!(starts.try_recv().ok().as_deref(), have_begun.then_some("1"));
        assert!(starts.try_recv().is_err());

        // Their keys and their places were given back.
        gate.add_permits(3);
        let ((), lines) = run(async {
            for number in 1..=3 {
                assert_eq!(send(&endpoint, &delivery(number)).await, Outcome::Accepted);
            }
            endpoint.close().await;
        });
        assert_eq!(lines, [""; 0]);
        assert_eq!([(); 3].map(|()| starts.try_recv().unwrap()), ["1", "2", "3"]);
    }
}

#[test]
fn each_lost_event_is_told_of_where_there_is_no_replay_guard_as_well() {
    for have_begun in [false, true] {
        let mut handler = handler();
        let (_starts, _gate) = waiting(&mut handler);
        let endpoint = Endpoint::builder(handler).background(background(3, 2)).build();
        assert_eq!(lost(&endpoint, have_begun), [LOST; 3]);
    }
}

#[test]
fn of_a_lost_event_that_the_store_does_not_forget_at_once_the_log_says_both() {
    for have_begun in [false, true] {
        let mut handler = handler();
        let (_starts, _gate) = waiting(&mut handler);
        let guard = ReplayGuard::exact_request(NeverForgets(Mutex::default()));
        let endpoint = Endpoint::builder(handler).background(background(3, 1)).replay_guard(guard).build();
        let not_forgotten = "ERROR message=the replay store did not forget a failed delivery: a retry of it counts \
                             as a duplicate reason=\"the handler was dropped, and nothing waits for the store\"";
        assert_eq!(lost(&endpoint, have_begun), [LOST, not_forgotten].repeat(3));
    }
}

#[test]
fn an_event_whose_handlers_have_ended_is_not_lost_however_they_ended() {
    let not_forgotten = |reason: &str| {
        format!(
            "ERROR message=the replay store did not forget a failed delivery: a retry of it counts as a duplicate \
             reason={reason:?}"
        )
    };
    let panicked = || FAILED.replace("the database is gone", "it panicked");
    let dropped = "the handler was dropped, and nothing waits for the store";
    let stores: [(Option<ReplayGuard>, Vec<String>); 4] = [
        (None, vec![FAILED.into(), panicked()]),
        (Some(ReplayGuard::exact_request(MemoryReplayStore::new(10))), vec![FAILED.into(), panicked()]),
        // A store that never answers holds its worker: there is one for each.
        (
            Some(ReplayGuard::exact_request(NeverForgets(Mutex::default()))),
            vec![FAILED.into(), panicked(), not_forgotten(dropped), not_forgotten(dropped)],
        ),
        (
            Some(ReplayGuard::exact_request(PanicsToForget)),
            vec![FAILED.into(), not_forgotten("it panicked"), panicked(), not_forgotten("it panicked")],
        ),
    ];
    for (guard, expected) in stores {
        let mut handler = handler();
        handler.on_any(|event: WebhookEvent| match &*event.text("issue_number") {
            "1" => Ok(()),
            "2" => Err("the database is gone"),
            _ => panic!("this handler panics on purpose"),
        });
        let builder = Endpoint::builder(handler).background(background(3, 3));
        let endpoint = match guard {
            Some(guard) => builder.replay_guard(guard).build(),
            None => builder.build(),
        };
        assert_eq!(lost(&endpoint, true), expected);
    }
}

#[tokio::test]
async fn a_handler_that_fails_or_panics_gives_back_its_key_and_its_place() {
    let mut handler = handler();
    let runs = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&runs);
    handler.on_any(move |_| match counted.fetch_add(1, Ordering::SeqCst) {
        0 => Err("the database is gone"),
        1 => panic!("this handler panics on purpose"),
        _ => Ok(()),
    });
    let guard = ReplayGuard::exact_request(MemoryReplayStore::new(10));
    let endpoint = Endpoint::builder(handler).background(background(1, 1)).replay_guard(guard).build();
    for _ in 0..3 {
        assert_eq!(send(&endpoint, &delivery(1)).await, Outcome::Accepted);
        settle().await;
    }
    assert_eq!(send(&endpoint, &delivery(1)).await, Outcome::Duplicate, "it was handled in the end");
    assert_eq!(runs.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn close_waits_for_all_that_was_accepted_and_takes_nothing_meanwhile() {
    let mut handler = handler();
    let (mut starts, gate) = waiting(&mut handler);
    let endpoint = Endpoint::builder(handler).background(background(10, 2)).build();
    for number in 0..5 {
        assert_eq!(send(&endpoint, &delivery(number)).await, Outcome::Accepted);
    }
    let mut closing = pin!(endpoint.close());
    assert!(poll_once(closing.as_mut()).is_pending());
    for _ in 0..5 {
        assert_eq!(send(&endpoint, &delivery(9)).await, Outcome::Unavailable);
        settle().await;
        assert!(poll_once(closing.as_mut()).is_pending(), "one is not through");
        gate.add_permits(1);
    }
    closing.await;
    let mut handled = Vec::new();
    while let Ok(number) = starts.try_recv() {
        handled.push(number);
    }
    assert_eq!(handled, ["0", "1", "2", "3", "4"]);
    assert_eq!(send(&endpoint, &delivery(9)).await, Outcome::Unavailable);
}

#[test]
fn what_was_admitted_before_close_and_arrives_after_it_is_turned_away() {
    let ((), lines) = run(async {
        let mut handler = handler();
        handler.on_any(|_| -> () { panic!("nobody would wait for it") });
        let guard = ReplayGuard::exact_request(MemoryReplayStore::new(10));
        let endpoint = Endpoint::builder(handler).background(background(3, 1)).replay_guard(guard).build();
        let request = delivery(1);
        let admitted = [(); 2].map(|()| endpoint.admit("POST", request.header_pairs()).unwrap());
        endpoint.close().await;
        for admitted in admitted {
            // Not a duplicate the second time: its key was given back.
            assert_eq!(endpoint.respond(admitted, &request.body).await, Outcome::Unavailable);
        }
    });
    let line = "WARN message=a request was answered 503: the app is shutting down outcome=\"unavailable\"".to_owned();
    assert_eq!(lines, [line.clone(), line]);
}

#[test]
fn what_arrives_while_the_queue_drains_is_told_of_the_shutdown_and_not_of_a_full_queue() {
    let ((), lines) = run(async {
        let mut handler = handler();
        let (_starts, gate) = waiting(&mut handler);
        let endpoint = Endpoint::builder(handler).background(background(3, 1)).build();
        assert_eq!(send(&endpoint, &delivery(1)).await, Outcome::Accepted);
        let request = delivery(2);
        let admitted = endpoint.admit("POST", request.header_pairs()).unwrap();
        let mut closing = pin!(endpoint.close());
        assert!(poll_once(closing.as_mut()).is_pending());
        assert_eq!(endpoint.respond(admitted, &request.body).await, Outcome::Unavailable);
        gate.add_permits(1);
        closing.await;
    });
    assert_eq!(lines, ["WARN message=a request was answered 503: the app is shutting down outcome=\"unavailable\""]);
}

#[tokio::test]
async fn close_may_be_called_more_than_once_and_be_given_up() {
    let mut handler = handler();
    let (_starts, gate) = waiting(&mut handler);
    let endpoint = Endpoint::builder(handler).background(background(2, 1)).build();
    assert_eq!(send(&endpoint, &delivery(1)).await, Outcome::Accepted);
    {
        let mut given_up = pin!(endpoint.close());
        assert!(poll_once(given_up.as_mut()).is_pending());
    }
    assert_eq!(send(&endpoint, &delivery(2)).await, Outcome::Unavailable, "it takes nothing, though nobody waits");
    let copy = endpoint.clone();
    let (mut one, mut other) = (pin!(endpoint.close()), pin!(copy.close()));
    assert!(poll_once(one.as_mut()).is_pending());
    assert!(poll_once(other.as_mut()).is_pending());
    gate.add_permits(1);
    one.await;
    other.await;
    endpoint.close().await;
}

#[tokio::test]
async fn with_one_worker_events_are_handled_in_the_order_in_which_they_came() {
    let mut handler = handler();
    let order = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&order);
    handler.on_any_async(move |event: WebhookEvent| {
        let noted = Arc::clone(&noted);
        async move {
            let number: usize = event.text("issue_number").parse().unwrap();
            // Those that came first take longest.
            for _ in number..20 {
                yield_now().await;
            }
            noted.lock().unwrap().push(number);
        }
    });
    let endpoint = Endpoint::builder(handler).background(background(20, 1)).build();
    for number in 0..20 {
        assert_eq!(send(&endpoint, &delivery(number)).await, Outcome::Accepted);
    }
    endpoint.close().await;
    assert_eq!(*order.lock().unwrap(), (0..20).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_order_is_that_of_the_events_and_not_that_in_which_the_runtime_begins_tasks() {
    let mut handler = handler();
    let order = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&order);
    handler.on_any_async(move |event: WebhookEvent| {
        let noted = Arc::clone(&noted);
        async move { noted.lock().unwrap().push(event.text("issue_number").parse::<usize>().unwrap()) }
    });
    let endpoint = Endpoint::builder(handler).background(background(300, 1)).build();
    // A worker of this runtime begins with the task that it has spawned last; 300 in one go are more than it lets one task
    // do before others have their turn.
    let sending = async move {
        for number in 0..300 {
            assert_eq!(send(&endpoint, &delivery(number)).await, Outcome::Accepted);
        }
        endpoint.close().await;
    };
    tokio::spawn(sending).await.unwrap();
    assert_eq!(*order.lock().unwrap(), (0..300).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_more_events_than_workers_are_handled_at_once_and_as_many_are() {
    const WORKERS: usize = 3;
    let mut handler = handler();
    let (running, most, all_run) =
        (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
    let (in_handler, most_seen, reached) = (Arc::clone(&running), Arc::clone(&most), Arc::clone(&all_run));
    let gate = Arc::new(Semaphore::new(0));
    let held = Arc::clone(&gate);
    handler.on_any_async(move |_: WebhookEvent| {
        let (running, most, all_run) = (Arc::clone(&in_handler), Arc::clone(&most_seen), Arc::clone(&reached));
        let held = Arc::clone(&held);
        async move {
            let now = running.fetch_add(1, Ordering::SeqCst) + 1;
            most.fetch_max(now, Ordering::SeqCst);
            if now == WORKERS {
                all_run.notify_one();
            }
            held.acquire().await.unwrap().forget();
            running.fetch_sub(1, Ordering::SeqCst);
        }
    });
    let endpoint = Endpoint::builder(handler).background(background(50, WORKERS as u32)).build();
    for number in 0..50 {
        assert_eq!(send(&endpoint, &delivery(number)).await, Outcome::Accepted);
    }
    all_run.notified().await;
    gate.add_permits(50);
    endpoint.close().await;
    assert_eq!((running.load(Ordering::SeqCst), most.load(Ordering::SeqCst)), (0, WORKERS));
}

#[tokio::test]
async fn a_capacity_or_a_number_of_workers_of_zero_is_one() {
    let mut handler = handler();
    let (mut starts, gate) = waiting(&mut handler);
    let endpoint = Endpoint::builder(handler).background(background(0, 0)).build();
    assert_eq!(send(&endpoint, &delivery(1)).await, Outcome::Accepted);
    assert_eq!(send(&endpoint, &delivery(2)).await, Outcome::Unavailable);
    assert_eq!(starts.recv().await.unwrap(), "1");
    gate.add_permits(1);
    endpoint.close().await;
}

#[test]
fn the_largest_queue_there_can_be_is_made_and_closed() {
    let ((), _) = run(async {
        let endpoint = Endpoint::builder(handler()).background(background(u32::MAX, u32::MAX)).build();
        assert_eq!(send(&endpoint, &delivery(1)).await, Outcome::Accepted);
        endpoint.close().await;
    });
}

#[test]
fn an_event_outlives_the_runtime_that_accepted_it_where_the_endpoint_was_built_in_another() {
    // As actix-web has it: the app's runtime makes the endpoint, and each worker has a runtime that ends with the server.
    let app = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let mut handler = handler();
    let (mut starts, gate) = waiting(&mut handler);
    let endpoint = app.block_on(async { Endpoint::builder(handler).background(background(2, 1)).build() });
    let worker = tokio::runtime::Builder::new_current_thread().build().unwrap();
    assert_eq!(worker.block_on(send(&endpoint, &delivery(1))), Outcome::Accepted);
    drop(worker);
    gate.add_permits(1);
    app.block_on(endpoint.close());
    assert_eq!(starts.try_recv().unwrap(), "1");
}

#[test]
fn an_endpoint_built_outside_a_runtime_runs_its_events_where_they_are_accepted() {
    let mut handler = handler();
    let (mut starts, gate) = waiting(&mut handler);
    let endpoint = Endpoint::builder(handler).background(Background::default()).build();
    gate.add_permits(1);
    let ((), _) = run(async {
        assert_eq!(send(&endpoint, &delivery(1)).await, Outcome::Accepted);
        endpoint.close().await;
    });
    assert_eq!(starts.try_recv().unwrap(), "1");
}

#[test]
fn the_results_of_handlers_are_let_go() {
    let ((), lines) = run(async {
        let mut handler = WebhookHandler::returning(SECRET).unwrap();
        handler.on_any(|event: WebhookEvent| Ok::<_, std::convert::Infallible>(event.event_type().to_owned()));
        let endpoint = Endpoint::builder(handler).background(background(1, 1)).build();
        assert_eq!(send(&endpoint, &delivery(1)).await, Outcome::Accepted);
        endpoint.close().await;
    });
    assert!(lines.is_empty(), "{lines:?}");
}

/// On a clock of tokio's that goes on as soon as nothing else does.
#[test]
fn closing_waits_no_longer_than_it_may_and_says_what_is_left() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let mut handler = handler();
    let (mut starts, gate) = waiting(&mut handler);
    let limit = Duration::from_secs(25);
    let (_, lines) = logged(|| {
        runtime.block_on(async {
            let endpoint = Endpoint::builder(handler).background(background(5, 1).drain(limit)).build();
            for number in 0..3 {
                assert_eq!(send(&endpoint, &delivery(number)).await, Outcome::Accepted);
            }
            starts.recv().await.unwrap();
            gate.add_permits(1);
            starts.recv().await.unwrap();
            let begun = tokio::time::Instant::now();
            endpoint.close().await;
            assert_eq!(begun.elapsed(), limit);
            assert_eq!(send(&endpoint, &delivery(3)).await, Outcome::Unavailable);
            // What was accepted goes on as long as the runtime does, and closing again does not wait for it.
            gate.add_permits(2);
            assert_eq!(starts.recv().await.unwrap(), "2");
            endpoint.close().await;
            settle().await;
        });
    });
    let late: Vec<_> = lines.iter().filter(|line| line.contains("ERROR")).collect();
    assert_eq!(
        late,
        ["ERROR message=closing no longer waits for accepted events whose handlers have not ended left=2"]
    );
}

#[test]
fn closing_in_time_says_nothing() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let (elapsed, lines) = logged(|| {
        runtime.block_on(async {
            let endpoint =
                Endpoint::builder(handler()).background(background(5, 1).drain(Duration::from_secs(25))).build();
            assert_eq!(send(&endpoint, &delivery(1)).await, Outcome::Accepted);
            let begun = tokio::time::Instant::now();
            endpoint.close().await;
            begun.elapsed()
        })
    });
    assert_eq!(elapsed, Duration::ZERO);
    assert!(!lines.iter().any(|line| line.contains("ERROR")), "{lines:?}");
}
