//! Which deliveries count as the same, for how long, and what comes of one that comes again.

use pylon_test_support::log::logged;
use pylon_webhooks::bindings::is_first_at;
use pylon_webhooks::{
    ConfigError, Endpoint, EventKind, EventReader, HandlerError, MemoryReplayStore, Outcome, ReplayGuard, ReplayKey,
    ReplayRule, ReplayStore, Secret, StoreFuture, Verified, Verifier, WebhookEvent, WebhookHandler, sign,
};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::sync::{Barrier, Notify};
use tokio::task::{JoinHandle, yield_now};

const SECRET: &str = "test-secret";
const NOW: u64 = 1_700_000_000;

const BODY: &str = r#"{"event_type": "issue_new", "issue_id": "i1"}"#;
const OTHER_BODY: &str = r#"{"event_type": "issue_new", "issue_id": "i2"}"#;

/// A clock that tests move.
#[derive(Clone)]
struct Time(Arc<AtomicU64>);

impl Time {
    fn new() -> Self {
        Self(Arc::new(AtomicU64::new(NOW)))
    }

    fn set(&self, unix_seconds: u64) {
        self.0.store(unix_seconds, Ordering::SeqCst);
    }

    fn clock(&self) -> impl Fn() -> u64 + Send + Sync + 'static {
        let time = Arc::clone(&self.0);
        move || time.load(Ordering::SeqCst)
    }

    fn handler(&self, tolerance: u64) -> WebhookHandler {
        let verifier = Verifier::builder().secret(SECRET).tolerance(Duration::from_secs(tolerance)).clock(self.clock());
        WebhookHandler::from_parts(verifier.build().unwrap(), EventReader::new())
    }

    fn store(&self) -> MemoryReplayStore {
        MemoryReplayStore::new(1000).clock(self.clock())
    }

    /// An endpoint whose handler counts its runs.
    fn endpoint(&self, guard: ReplayGuard) -> (Endpoint, Arc<AtomicUsize>) {
        let mut handler = self.handler(300);
        let runs = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&runs);
        handler.on_any(move |_| _ = counted.fetch_add(1, Ordering::SeqCst));
        (Endpoint::builder(handler).replay_guard(guard).build(), runs)
    }
}

/// A store that behaves as it is told to, and notes what it is asked.
#[derive(Clone, Default)]
struct Moody(Arc<Mood>);

#[derive(Default)]
struct Mood {
    seen: Mutex<BTreeSet<String>>,
    calls: Mutex<Vec<(&'static str, String, Option<u64>)>>,
    /// Once it has remembered: nothing of it says whether it has.
    first_seen: Mutex<Manner>,
    /// Before it has forgotten.
    forget: Mutex<Manner>,
    is_quick: AtomicBool,
}

#[derive(Clone, Copy, Default)]
enum Manner {
    #[default]
    Answers,
    Fails,
    Stalls,
    Panics,
}

impl Manner {
    async fn behave(self) -> Result<(), HandlerError> {
        match self {
            Self::Answers => Ok(()),
            Self::Fails => Err(HandlerError::from("the store is gone")),
            Self::Stalls => std::future::pending().await,
            Self::Panics => panic!("this store panics on purpose"),
        }
    }
}

impl Moody {
    /// One whose answers nobody has to wait for.
    fn quick() -> Self {
        let store = Self::default();
        store.0.is_quick.store(true, Ordering::SeqCst);
        store
    }

    fn first_seen_will(&self, manner: Manner) {
        *self.0.first_seen.lock().unwrap() = manner;
    }

    fn forget_will(&self, manner: Manner) {
        *self.0.forget.lock().unwrap() = manner;
    }

    fn calls(&self) -> Vec<&'static str> {
        self.0.calls.lock().unwrap().iter().map(|(call, ..)| *call).collect()
    }

    async fn asked(&self, call: &'static str, key: &str, expires: Option<u64>) {
        if !self.0.is_quick.load(Ordering::SeqCst) {
            // As a store on a server does: others have their turn between question and answer.
            yield_now().await;
        }
        self.0.calls.lock().unwrap().push((call, key.into(), expires));
    }
}

impl ReplayStore for Moody {
    fn first_seen<'a>(&'a self, key: &'a str, expires: Option<u64>) -> StoreFuture<'a, bool> {
        Box::pin(async move {
            self.asked("first_seen", key, expires).await;
            let is_first = self.0.seen.lock().unwrap().insert(key.into());
            let manner = *self.0.first_seen.lock().unwrap();
            manner.behave().await.map(|()| is_first)
        })
    }

    fn forget<'a>(&'a self, key: &'a str) -> StoreFuture<'a, ()> {
        Box::pin(async move {
            self.asked("forget", key, None).await;
            let manner = *self.0.forget.lock().unwrap();
            manner.behave().await?;
            self.0.seen.lock().unwrap().remove(key);
            Ok(())
        })
    }
}

/// An endpoint whose handler waits with `BODY` until it is let go on, and with nothing else.
struct Held {
    endpoint: Endpoint,
    begun: Arc<Notify>,
    go: Arc<Notify>,
    fails: Arc<AtomicBool>,
    runs: Arc<AtomicUsize>,
}

impl Held {
    fn new(guard: ReplayGuard) -> Self {
        let mut handler = Time::new().handler(300);
        let (begun, go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (fails, runs) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let (in_begun, in_go) = (Arc::clone(&begun), Arc::clone(&go));
        let (in_fails, in_runs) = (Arc::clone(&fails), Arc::clone(&runs));
        handler.on_any_async(move |event: WebhookEvent| {
            let (begun, go, fails) = (Arc::clone(&in_begun), Arc::clone(&in_go), Arc::clone(&in_fails));
            in_runs.fetch_add(1, Ordering::SeqCst);
            async move {
                if event.text("issue_id") == "i1" {
                    begun.notify_one();
                    go.notified().await;
                }
                if fails.load(Ordering::SeqCst) { Err("the database is gone") } else { Ok(()) }
            }
        });
        Self { endpoint: Endpoint::builder(handler).replay_guard(guard).build(), begun, go, fails, runs }
    }

    fn runs(&self) -> usize {
        self.runs.load(Ordering::SeqCst)
    }

    /// A delivery of `BODY` whose handler has begun.
    async fn begin(&self) -> JoinHandle<Outcome> {
        let endpoint = self.endpoint.clone();
        let first = tokio::spawn(async move { deliver(&endpoint, BODY, None).await });
        self.begun.notified().await;
        first
    }

    async fn copy(&self) -> Outcome {
        deliver(&self.endpoint, BODY, None).await
    }
}

const IN_FLIGHT: &str = "WARN message=a request was answered 503: a copy of the delivery is being handled \
                         outcome=\"unavailable\"";
const FAILED: &str = "ERROR message=a delivery was not handled outcome=\"failed\" code=\"handlers\" reason=\"a \
                      handler \
                      failed: the database is gone\"";
const DUPLICATE: &str = "INFO message=a duplicate was answered and not handled event=\"issue_new\"";

fn not_forgotten(reason: &str) -> String {
    format!(
        "ERROR message=the replay store did not forget a failed delivery: a retry of it counts as a duplicate \
         reason={reason:?}"
    )
}

const DROPPED: &str = "the handler was dropped, and nothing waits for the store";

/// Runs it on a runtime of this thread, so that what it logs is seen.
fn run<T>(test: impl Future<Output = T>) -> (T, Vec<String>) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    logged(|| runtime.block_on(test))
}

async fn deliver<R: Send + 'static>(endpoint: &Endpoint<R>, body: &str, timestamp: Option<u64>) -> Outcome {
    let timestamp = timestamp.map(|timestamp| timestamp.to_string());
    let signature = sign(&Secret::new(SECRET).unwrap(), body.as_bytes(), timestamp.as_deref());
    let headers = [("X-Pylon-Signature", Some(signature)), ("X-Pylon-Timestamp", timestamp)];
    let headers = headers.into_iter().filter_map(|(name, value)| Some((name, value?)));
    match endpoint.admit("POST", headers) {
        Ok(admitted) => endpoint.respond(admitted, body.as_bytes()).await,
        Err(outcome) => outcome,
    }
}

/// The same at once, for an endpoint that waits for nothing.
fn delivered(endpoint: &Endpoint, body: &str, timestamp: Option<u64>) -> Outcome {
    run(deliver(endpoint, body, timestamp)).0
}

mod keys;

mod guards;

mod copies;

/// What ends before its end: the sender hung up, the runtime was shut down, or the store panicked.
mod given_up;

mod memory;
