//! Which deliveries count as the same, for how long, and what comes of one that comes again.

use crate::log::logged;
use pylon_webhooks::{
    ConfigError, Endpoint, EventKind, EventReader, HandlerError, MemoryReplayStore, Outcome, ReplayGuard, ReplayKey,
    ReplayRule, ReplayStore, Secret, Signed, StoreFuture, Verified, Verifier, WebhookEvent, WebhookHandler,
    parse_webhook_event, sign,
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

const IN_FLIGHT: &str = "WARN message=a request was turned away: a copy of it is being handled at this moment \
                         outcome=\"unavailable\"";
const FAILED: &str = "ERROR message=a delivery was not handled outcome=\"failed\" code=\"handlers\" reason=\"a handler \
                      failed: the database is gone\"";
const DUPLICATE: &str = "INFO message=a duplicate was answered, and not handled event=\"issue_new\"";

fn not_forgotten(reason: &str) -> String {
    format!(
        "ERROR message=the replay store did not forget a delivery that failed: sent again, it is taken for a duplicate \
         reason={reason:?}"
    )
}

const DROPPED: &str = "what handled it was dropped, and nothing is left to wait for the store";

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

mod keys {
    use super::*;

    const SIGNED: Signed = Signed { now: NOW, timestamp: None, tolerance_seconds: 300 };

    fn key_of(rule: &ReplayRule, body: &Value, signed: Signed) -> Option<ReplayKey> {
        rule.key(&Verified::assume(parse_webhook_event(body.to_string().into_bytes()).unwrap()), signed)
    }

    fn pointer(pointer: &str) -> ReplayRule {
        ReplayRule::pointer(pointer, None).unwrap()
    }

    fn at(pointer_text: &str, body: &Value) -> Option<String> {
        key_of(&pointer(pointer_text), body, SIGNED).map(|key| key.key)
    }

    #[test]
    fn each_is_64_hexadecimal_digits_whatever_it_is_made_of() {
        let rules =
            [ReplayRule::ExactRequest, pointer("/id"), ReplayRule::BodyHash { window: Duration::from_secs(60) }];
        let bodies =
            [json!({"id": "Jo Confidential"}), json!({"id": "x".repeat(100_000)}), json!({"id": "\0\u{1F600}"})];
        let mut keys = BTreeSet::new();
        for (rule, body) in rules.iter().flat_map(|rule| bodies.iter().map(move |body| (rule, body))) {
            let key = key_of(rule, body, SIGNED).unwrap().key;
            assert!(key.len() == 64 && key.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')), "{key}");
            keys.insert(key);
        }
        assert_eq!(keys.len(), 9, "no rule makes the key of another");
    }

    /// What other machines remember under these keys must be found again after an update.
    #[test]
    fn each_stays_what_it_was() {
        let event = Verified::assume(parse_webhook_event(BODY.as_bytes()).unwrap());
        let of = |rule: &ReplayRule, timestamp| rule.key(&event, Signed { timestamp, ..SIGNED }).unwrap().key;
        let body_hash = ReplayRule::BodyHash { window: Duration::from_secs(60) };
        for (key, expected) in [
            (of(&ReplayRule::ExactRequest, None), EXACT),
            (of(&ReplayRule::ExactRequest, Some(NOW)), EXACT_TIMESTAMPED),
            (of(&pointer("/issue_id"), None), POINTER),
            (of(&body_hash, None), BODY_HASH),
        ] {
            assert_eq!(key, expected);
        }
    }

    // Calculated with Python's hashlib: each part behind its length in eight bytes, big-endian.
    const EXACT: &str = "a1f6026c043860b50b2cc785f9a856bacfce8fe6881e2e73f3e7c38444a75e20";
    const EXACT_TIMESTAMPED: &str = "8838b3e6289fca93c28cfd8dc2230d39ea9f86e0de71a4d445d1dcd528b3f8da";
    const POINTER: &str = "2075dad00914e40e85729a88af80fda0c3728359e4e62292b0a6db3be66b9172";
    const BODY_HASH: &str = "70df93204a6a1594579a788e840683c16325f45f2f2603db641f83c0f9984602";

    #[test]
    fn exact_request_goes_by_timestamp_and_body() {
        let key = |body: &Value, timestamp| key_of(&ReplayRule::ExactRequest, body, Signed { timestamp, ..SIGNED });
        let (one, other) = (json!({"id": 1}), json!({"id": 2}));
        let keys: Vec<_> =
            [(&one, None), (&other, None), (&one, Some(NOW)), (&other, Some(NOW)), (&one, Some(NOW + 1))]
                .map(|(body, timestamp)| key(body, timestamp).unwrap().key)
                .into();
        assert_eq!(keys.iter().collect::<BTreeSet<_>>().len(), 5);
        assert_eq!(key(&one, Some(NOW)), key(&one, Some(NOW)));
    }

    #[test]
    fn exact_request_is_remembered_as_long_as_its_timestamp_is_fresh() {
        let expires = |timestamp, tolerance_seconds| {
            let signed = Signed { now: NOW, timestamp, tolerance_seconds };
            key_of(&ReplayRule::ExactRequest, &json!({}), signed).unwrap().expires
        };
        for (timestamp, tolerance, end) in [
            (None, 300, None),
            (Some(NOW), 300, Some(NOW + 301)),
            (Some(NOW - 300), 300, Some(NOW + 1)),
            (Some(NOW + 300), 300, Some(NOW + 601)),
            (Some(NOW), 0, Some(NOW + 1)),
            (Some(0), 0, Some(1)),
            (Some(NOW), u64::MAX, Some(u64::MAX)),
            (Some(9_999_999_999_999_999_999), u64::MAX, Some(u64::MAX)),
        ] {
            assert_eq!(expires(timestamp, tolerance), end, "{timestamp:?} {tolerance}");
        }
    }

    #[test]
    fn a_window_counts_from_now_in_whole_seconds() {
        for (window, end) in [
            (Duration::ZERO, NOW),
            (Duration::from_millis(999), NOW),
            (Duration::from_secs(1), NOW + 1),
            (Duration::from_millis(60_999), NOW + 60),
            (Duration::MAX, u64::MAX),
        ] {
            // Of the timestamp it knows nothing: the same body is signed anew with each retry.
            let signed = Signed { timestamp: Some(NOW - 200), ..SIGNED };
            let by_hash = key_of(&ReplayRule::BodyHash { window }, &json!({"id": 1}), signed).unwrap();
            assert_eq!(by_hash.expires, Some(end), "{window:?}");
            let by_pointer = key_of(&ReplayRule::pointer("/id", Some(window)).unwrap(), &json!({"id": 1}), signed);
            assert_eq!(by_pointer.unwrap().expires, Some(end), "{window:?}");
        }
    }

    #[test]
    fn a_pointer_leads_to_a_text_a_whole_number_or_a_boolean() {
        let deep = json!({"a": {"b": [{"c": "here"}]}, "a/b": "slash", "m~n": "tilde", "": "empty", "~1": "both"});
        for (pointer, body) in [
            ("/id", json!({"id": "i1"})),
            ("/id", json!({"id": " i1 "})),
            ("/id", json!({"id": "0"})),
            ("/id", json!({"id": "null and void"})),
            ("/id", json!({"id": "{{"})),
            ("/id", json!({"id": 0})),
            ("/id", json!({"id": -7})),
            ("/id", json!({"id": u64::MAX})),
            ("/id", json!({"id": i64::MIN})),
            ("/id", json!({"id": false})),
            ("/id", json!({"id": true})),
            ("/a/b/0/c", deep.clone()),
            ("/a~1b", deep.clone()),
            ("/m~0n", deep.clone()),
            ("/~01", deep.clone()),
            ("/", deep),
        ] {
            assert!(at(pointer, &body).is_some(), "{pointer} {body}");
        }
    }

    /// Events that have nothing there would otherwise all be the same one, and all but the first be lost.
    #[test]
    fn a_pointer_that_leads_to_nothing_or_to_no_such_value_makes_no_key() {
        let deep = json!({"a": {"b": [{"c": "here"}]}, "a/b": "slash"});
        for (pointer, body) in [
            ("/id", json!({})),
            ("/id", json!({"ID": "i1"})),
            ("/id", json!({"id": null})),
            ("/id", json!({"id": ""})),
            ("/id", json!({"id": " \t\n\u{a0}"})),
            ("/id", json!({"id": "null"})),
            ("/id", json!({"id": " NULL "})),
            ("/id", json!({"id": "{{issue.id}}"})),
            ("/id", json!({"id": " {{ issue.last_message.id }} "})),
            ("/id", json!({"id": {}})),
            ("/id", json!({"id": {"id": "i1"}})),
            ("/id", json!({"id": []})),
            ("/id", json!({"id": ["i1"]})),
            ("/id", json!({"id": 1.5})),
            ("/id", json!({"id": 1e30})),
            ("/id/", json!({"id": "i1"})),
            ("/id/0", json!({"id": "i1"})),
            ("/a", deep.clone()),
            ("/a/b", deep.clone()),
            ("/a/b/0", deep.clone()),
            ("/a/b/1/c", deep.clone()),
            ("/a/b/00/c", deep.clone()),
            ("/a/b/-/c", deep.clone()),
            ("/A/b/0/c", deep.clone()),
            ("/a~1c", deep),
            ("/0", json!([[]])),
            ("/id", json!("i1")),
            ("/id", json!(7)),
        ] {
            assert_eq!(at(pointer, &body), None, "{pointer} {body}");
        }
    }

    /// Read as a double, these two are one number.
    #[test]
    fn two_numbers_beyond_64_bits_are_never_taken_for_each_other() {
        let key =
            |body: &str| pointer("/id").key(&Verified::assume(parse_webhook_event(body.as_bytes()).unwrap()), SIGNED);
        for body in [r#"{"id": 123456789012345678901}"#, r#"{"id": 123456789012345678902}"#] {
            assert_eq!(key(body), None, "{body}");
        }
    }

    #[test]
    fn a_value_counts_by_its_text_whatever_its_type() {
        assert_eq!(at("/id", &json!({"id": 7})), at("/id", &json!({"id": "7"})));
        assert_eq!(at("/id", &json!({"id": true})), at("/id", &json!({"id": "true"})));
        assert_ne!(at("/id", &json!({"id": "7"})), at("/id", &json!({"id": "07"})));
        assert_ne!(at("/id", &json!({"id": "a"})), at("/id", &json!({"id": "A"})));
        assert_ne!(at("/id", &json!({"id": "a"})), at("/id", &json!({"id": " a"})));
        assert_eq!(
            at("/id", &json!({"id": "a"})),
            at("/id", &json!({"id": "a", "more": 1})),
            "the rest does not count"
        );
        assert_ne!(at("/id", &json!({"id": "a"})), at("/ID", &json!({"ID": "a"})), "a store may serve several guards");
    }

    #[test]
    fn the_same_value_under_another_event_name_is_another_event() {
        let of = |name: &str| at("/id", &json!({"event_type": name, "id": "i1"})).unwrap();
        for same in ["issue_new", "issue.new", "Issue-New", " ISSUE NEW "] {
            assert_eq!(of(same), of("issue_new"), "{same}: of one kind");
        }
        let others = ["issue_assigned", "issue.created", "issue_created", "ticket.created", "Ticket.Created", ""];
        let keys: BTreeSet<String> = others.into_iter().chain(["issue_new"]).map(of).collect();
        assert_eq!(keys.len(), 7, "names of no kind count as they were sent");
    }

    #[test]
    fn a_name_that_is_configured_to_mean_a_kind_counts_as_that_kind() {
        let reader = EventReader::new().name("issue.created", EventKind::IssueNew).unwrap();
        let of = |name: &str| {
            let body = json!({"event_type": name, "id": "i1"}).to_string();
            pointer("/id").key(&Verified::assume(reader.read(body.as_bytes()).unwrap()), SIGNED)
        };
        assert_eq!(of("issue.created"), of("issue_new"));
    }

    #[test]
    fn nothing_in_a_name_or_a_value_shifts_into_the_other() {
        let of = |name: &str, id: &str| at("/id", &json!({"event_type": name, "id": id})).unwrap();
        assert_ne!(of("a", "/id\0b"), of("a\0/id", "b"));
        assert_ne!(of("a", "b\0"), of("a\0b", "\0"));
        assert_ne!(of("ab", "c"), of("a", "bc"));
    }

    #[test]
    fn a_pointer_without_its_slash_is_refused() {
        for pointer in ["", "id", "#/id", " /id", "~0"] {
            assert_eq!(ReplayRule::pointer(pointer, None), Err(ConfigError::Pointer), "{pointer:?}");
            let guard = ReplayGuard::pointer(pointer, None, MemoryReplayStore::new(1));
            assert_eq!(guard.unwrap_err(), ConfigError::Pointer, "{pointer:?}");
        }
    }
}

mod guards {
    use super::*;

    #[test]
    fn a_timestamped_delivery_is_a_duplicate_until_its_timestamp_is_refused() {
        for timestamp in [NOW - 300, NOW - 1, NOW, NOW + 1, NOW + 300] {
            let time = Time::new();
            let (endpoint, runs) = time.endpoint(ReplayGuard::exact_request(time.store()));
            assert_eq!(delivered(&endpoint, BODY, Some(timestamp)), Outcome::Handled);
            for second in NOW..=timestamp + 300 {
                time.set(second);
                assert_eq!(delivered(&endpoint, BODY, Some(timestamp)), Outcome::Duplicate, "{timestamp} at {second}");
            }
            for second in [timestamp + 301, timestamp + 302, timestamp + 100_000] {
                time.set(second);
                assert_eq!(
                    delivered(&endpoint, BODY, Some(timestamp)),
                    Outcome::Unauthorized,
                    "{timestamp} at {second}"
                );
            }
            assert_eq!(runs.load(Ordering::SeqCst), 1);
        }
    }

    #[test]
    fn a_key_is_let_go_in_the_second_in_which_its_timestamp_is_refused() {
        let time = Time::new();
        let store = Moody::default();
        let (endpoint, _) = time.endpoint(ReplayGuard::exact_request(store.clone()));
        delivered(&endpoint, BODY, Some(NOW));
        let (_, key, expires) = store.0.calls.lock().unwrap()[0].clone();
        let memory = MemoryReplayStore::new(1);
        assert!(memory.is_first_at(&key, expires, NOW));
        assert!(!memory.is_first_at(&key, expires, NOW + 300));
        assert!(memory.is_first_at(&key, expires, NOW + 301));
    }

    #[test]
    fn a_delivery_without_a_timestamp_is_a_duplicate_for_ever() {
        let time = Time::new();
        let (endpoint, runs) = time.endpoint(ReplayGuard::exact_request(time.store()));
        assert_eq!(delivered(&endpoint, BODY, None), Outcome::Handled);
        for second in [NOW, NOW + 301, NOW + 1_000_000_000, u64::MAX - 1, 0] {
            time.set(second);
            assert_eq!(delivered(&endpoint, BODY, None), Outcome::Duplicate, "at {second}");
        }
        assert_eq!(delivered(&endpoint, OTHER_BODY, None), Outcome::Handled);
        assert_eq!(runs.load(Ordering::SeqCst), 2);
    }

    #[test]
    fn exact_request_takes_a_body_that_was_signed_anew_for_a_new_delivery() {
        let time = Time::new();
        let (endpoint, runs) = time.endpoint(ReplayGuard::exact_request(time.store()));
        for timestamp in [None, Some(NOW), Some(NOW + 1)] {
            assert_eq!(delivered(&endpoint, BODY, timestamp), Outcome::Handled, "{timestamp:?}");
        }
        assert_eq!(runs.load(Ordering::SeqCst), 3);
    }

    #[test]
    fn body_hash_knows_the_body_again_whatever_its_timestamp_while_the_window_lasts() {
        let time = Time::new();
        let guard = ReplayGuard::body_hash(Duration::from_secs(60), time.store());
        let (endpoint, runs) = time.endpoint(guard);
        assert_eq!(delivered(&endpoint, BODY, Some(NOW)), Outcome::Handled);
        for (second, timestamp) in [(NOW, None), (NOW + 1, Some(NOW + 1)), (NOW + 59, Some(NOW)), (NOW + 59, None)] {
            time.set(second);
            assert_eq!(delivered(&endpoint, BODY, timestamp), Outcome::Duplicate, "at {second}");
        }
        assert_eq!(delivered(&endpoint, OTHER_BODY, None), Outcome::Handled);
        time.set(NOW + 60);
        assert_eq!(delivered(&endpoint, BODY, Some(NOW)), Outcome::Handled, "a duplicate does not prolong the window");
        time.set(NOW + 119);
        assert_eq!(delivered(&endpoint, BODY, None), Outcome::Duplicate, "a new window has begun");
        assert_eq!(runs.load(Ordering::SeqCst), 3);
    }

    #[test]
    fn a_pointer_knows_an_event_again_by_its_value() {
        let time = Time::new();
        let guard = ReplayGuard::pointer("/issue_id", Some(Duration::from_secs(60)), time.store()).unwrap();
        let (endpoint, runs) = time.endpoint(guard);
        let spaced = r#"{"issue_id":"i1","event_type":"issue.new","issue_title":"another"}"#;
        let assigned = r#"{"event_type": "issue_assigned", "issue_id": "i1"}"#;
        for (body, outcome) in [
            (BODY, Outcome::Handled),
            (BODY, Outcome::Duplicate),
            (spaced, Outcome::Duplicate),
            (assigned, Outcome::Handled),
            (OTHER_BODY, Outcome::Handled),
            // Nothing to go by: no duplicate, however often.
            ("{}", Outcome::Handled),
            ("{}", Outcome::Handled),
            (r#"{"event_type": "issue_new", "issue_id": "{{issue.id}}"}"#, Outcome::Handled),
            (r#"{"event_type": "issue_new", "issue_id": "{{issue.id}}"}"#, Outcome::Handled),
        ] {
            assert_eq!(delivered(&endpoint, body, None), outcome, "{body}");
        }
        time.set(NOW + 60);
        assert_eq!(delivered(&endpoint, BODY, None), Outcome::Handled);
        assert_eq!(runs.load(Ordering::SeqCst), 8);
    }

    #[test]
    fn what_is_refused_is_not_remembered_and_the_store_is_not_asked() {
        let time = Time::new();
        let store = Moody::default();
        let (endpoint, _) = time.endpoint(ReplayGuard::exact_request(store.clone()));
        let headers = [("X-Pylon-Signature", "0".repeat(64))];
        let admitted = endpoint.admit("POST", headers).unwrap();
        assert_eq!(run(endpoint.respond(admitted, BODY.as_bytes())).0, Outcome::Unauthorized);
        assert_eq!(delivered(&endpoint, BODY, Some(NOW - 301)), Outcome::Unauthorized);
        assert_eq!(delivered(&endpoint, "event=issue_new", None), Outcome::Unreadable);
        assert_eq!(store.calls(), [""; 0]);
        assert_eq!(delivered(&endpoint, BODY, None), Outcome::Handled);
        assert_eq!(store.calls(), ["first_seen"]);
    }

    #[test]
    fn a_delivery_whose_handler_failed_or_panicked_may_come_again() {
        let time = Time::new();
        let mut handler = time.handler(300);
        let runs = Arc::new(AtomicUsize::new(0));
        let (counted, counted_later) = (Arc::clone(&runs), Arc::clone(&runs));
        handler.on_any(move |_| match counted.fetch_add(1, Ordering::SeqCst) {
            0 => Err("the database is gone"),
            1 => panic!("it panics on purpose"),
            _ => Ok(()),
        });
        handler.on_any_async(move |_| {
            let run = counted_later.load(Ordering::SeqCst);
            async move {
                assert_ne!(run, 3, "an async handler panics on purpose");
                if run == 4 { Err("the other database is gone") } else { Ok(()) }
            }
        });
        let store = Moody::default();
        let endpoint = Endpoint::builder(handler).replay_guard(ReplayGuard::exact_request(store.clone())).build();
        for _ in 0..4 {
            assert_eq!(delivered(&endpoint, BODY, Some(NOW)), Outcome::Failed);
        }
        assert_eq!(delivered(&endpoint, BODY, Some(NOW)), Outcome::Handled);
        assert_eq!(delivered(&endpoint, BODY, Some(NOW)), Outcome::Duplicate);
        assert_eq!(runs.load(Ordering::SeqCst), 5);
        let failed = ["first_seen", "forget"].repeat(4);
        assert_eq!(store.calls(), [failed, vec!["first_seen"; 2]].concat());
    }

    /// It may have remembered, and the sender will come again.
    #[test]
    fn a_store_that_fails_to_remember_fails_the_delivery_and_is_asked_to_forget_it() {
        let time = Time::new();
        let store = Moody::default();
        let (endpoint, runs) = time.endpoint(ReplayGuard::exact_request(store.clone()));
        store.first_seen_will(Manner::Fails);
        let (outcome, lines) = run(deliver(&endpoint, BODY, None));
        assert_eq!((outcome, runs.load(Ordering::SeqCst)), (Outcome::Failed, 0));
        assert_eq!(lines, [STORE_FAILED]);
        assert_eq!(store.calls(), ["first_seen", "forget"]);
        store.first_seen_will(Manner::Answers);
        assert_eq!(delivered(&endpoint, BODY, None), Outcome::Handled);
        assert_eq!(runs.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn a_store_that_fails_altogether_fails_the_delivery_and_both_are_told_of() {
        let time = Time::new();
        let store = Moody::default();
        let (endpoint, runs) = time.endpoint(ReplayGuard::exact_request(store.clone()));
        store.first_seen_will(Manner::Fails);
        store.forget_will(Manner::Fails);
        for _ in 0..2 {
            let (outcome, lines) = run(deliver(&endpoint, BODY, None));
            assert_eq!(outcome, Outcome::Failed, "the second time as well: it is no longer in flight");
            assert_eq!(lines, [not_forgotten("the store is gone"), STORE_FAILED.into()]);
        }
        assert_eq!(runs.load(Ordering::SeqCst), 0);
    }

    const STORE_FAILED: &str =
        "ERROR message=the replay store failed: the delivery was not handled error=the store is gone";

    #[test]
    fn a_store_that_fails_to_forget_is_told_of_in_the_log() {
        let time = Time::new();
        let mut handler = time.handler(300);
        handler.on_any(|_| Err::<(), _>("the database is gone"));
        let store = Moody::default();
        store.forget_will(Manner::Fails);
        let endpoint = Endpoint::builder(handler).replay_guard(ReplayGuard::exact_request(store)).build();
        let (outcome, lines) = run(deliver(&endpoint, BODY, None));
        assert_eq!(outcome, Outcome::Failed);
        assert_eq!(lines, [FAILED.to_owned(), not_forgotten("the store is gone")]);
        assert_eq!(delivered(&endpoint, BODY, None), Outcome::Duplicate, "as the log foretold");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn of_64_that_come_at_once_one_is_handled_and_the_others_are_copies() {
        let time = Time::new();
        let stores: [fn(&Time) -> ReplayGuard; 2] =
            [|time| ReplayGuard::exact_request(time.store()), |_| ReplayGuard::exact_request(Moody::default())];
        for guard in stores {
            let (endpoint, runs) = time.endpoint(guard(&time));
            let barrier = Arc::new(Barrier::new(64));
            let tasks: Vec<_> = (0..64)
                .map(|_| {
                    let (endpoint, barrier) = (endpoint.clone(), Arc::clone(&barrier));
                    tokio::spawn(async move {
                        barrier.wait().await;
                        deliver(&endpoint, BODY, Some(NOW)).await
                    })
                })
                .collect();
            let mut outcomes = Vec::new();
            for task in tasks {
                outcomes.push(task.await.unwrap());
            }
            let handled = outcomes.iter().filter(|&&outcome| outcome == Outcome::Handled).count();
            // By then it is being handled, or has been.
            let is_copy = |outcome: &&Outcome| matches!(outcome, Outcome::Unavailable | Outcome::Duplicate);
            let copies = outcomes.iter().filter(is_copy).count();
            assert_eq!((handled, copies, runs.load(Ordering::SeqCst)), (1, 63, 1));
            assert_eq!(deliver(&endpoint, BODY, Some(NOW)).await, Outcome::Duplicate);
        }
    }

    #[test]
    fn what_one_guard_has_seen_another_with_a_store_of_its_own_has_not() {
        let time = Time::new();
        let (one, _) = time.endpoint(ReplayGuard::exact_request(time.store()));
        let (other, _) = time.endpoint(ReplayGuard::exact_request(time.store()));
        let without = Endpoint::new(time.handler(300));
        assert_eq!(delivered(&one, BODY, None), Outcome::Handled);
        assert_eq!(delivered(&other, BODY, None), Outcome::Handled);
        for _ in 0..2 {
            assert_eq!(delivered(&without, BODY, None), Outcome::Handled);
        }
    }

    #[test]
    fn copies_of_a_guard_or_of_an_endpoint_share_what_they_have_seen() {
        let time = Time::new();
        let guard = ReplayGuard::exact_request(time.store());
        let (one, _) = time.endpoint(guard.clone());
        let (other, _) = time.endpoint(guard);
        assert_eq!(delivered(&one, BODY, None), Outcome::Handled);
        assert_eq!(delivered(&other, BODY, None), Outcome::Duplicate);
        assert_eq!(delivered(&one.clone(), BODY, None), Outcome::Duplicate);
    }

    #[test]
    fn guards_of_different_rules_do_not_get_into_each_others_way_in_one_store() {
        let time = Time::new();
        let store = Moody::default();
        let guards = [
            ReplayGuard::exact_request(store.clone()),
            ReplayGuard::body_hash(Duration::from_secs(60), store.clone()),
            ReplayGuard::pointer("/issue_id", None, store.clone()).unwrap(),
            ReplayGuard::pointer("/event_type", None, store).unwrap(),
        ];
        for guard in guards {
            let rule = guard.rule().clone();
            let (endpoint, _) = time.endpoint(guard);
            assert_eq!(delivered(&endpoint, BODY, None), Outcome::Handled, "{rule:?}");
            assert_eq!(delivered(&endpoint, BODY, None), Outcome::Duplicate, "{rule:?}");
        }
    }

    #[test]
    fn the_results_of_handlers_change_nothing() {
        let mut handler = WebhookHandler::returning(SECRET).unwrap();
        handler.on_any(|_| Ok::<_, HandlerError>("a result".to_owned()));
        let guard = ReplayGuard::exact_request(MemoryReplayStore::new(1));
        let endpoint = Endpoint::builder(handler).replay_guard(guard).build();
        let (outcomes, _) = run(async { [deliver(&endpoint, BODY, None).await, deliver(&endpoint, BODY, None).await] });
        assert_eq!(outcomes, [Outcome::Handled, Outcome::Duplicate]);
    }
}

mod copies {
    use super::*;

    fn guards() -> [ReplayGuard; 2] {
        [
            ReplayGuard::exact_request(MemoryReplayStore::new(10)),
            ReplayGuard::body_hash(Duration::from_secs(60), Moody::default()),
        ]
    }

    #[test]
    fn of_one_that_is_being_handled_are_turned_away_and_are_duplicates_once_it_was() {
        for held in guards().map(Held::new) {
            let ((), lines) = run(async {
                let first = held.begin().await;
                assert_eq!(held.copy().await, Outcome::Unavailable);
                assert_eq!(held.copy().await, Outcome::Unavailable);
                held.go.notify_one();
                assert_eq!(first.await.unwrap(), Outcome::Handled);
                assert_eq!(held.copy().await, Outcome::Duplicate);
            });
            assert_eq!(lines, [IN_FLIGHT, IN_FLIGHT, DUPLICATE]);
            assert_eq!(held.runs(), 1);
        }
    }

    /// Told that they are duplicates, the sender would be content, and nobody would ever handle the event.
    #[test]
    fn of_one_that_is_being_handled_are_handled_when_they_come_after_it_has_failed() {
        for held in guards().map(Held::new) {
            let ((), lines) = run(async {
                held.fails.store(true, Ordering::SeqCst);
                let first = held.begin().await;
                assert_eq!(held.copy().await, Outcome::Unavailable);
                held.go.notify_one();
                assert_eq!(first.await.unwrap(), Outcome::Failed);

                held.fails.store(false, Ordering::SeqCst);
                let second = held.begin().await;
                assert_eq!(held.copy().await, Outcome::Unavailable);
                held.go.notify_one();
                assert_eq!(second.await.unwrap(), Outcome::Handled);
                assert_eq!(held.copy().await, Outcome::Duplicate);
            });
            assert_eq!(lines, [IN_FLIGHT, FAILED, IN_FLIGHT, DUPLICATE]);
            assert_eq!(held.runs(), 2);
        }
    }

    #[test]
    fn are_turned_away_until_a_failed_one_is_forgotten_and_not_only_until_it_has_failed() {
        let store = Moody::default();
        store.forget_will(Manner::Stalls);
        let held = Held::new(ReplayGuard::exact_request(store.clone()));
        let ((), lines) = run(async {
            held.fails.store(true, Ordering::SeqCst);
            let first = held.begin().await;
            held.go.notify_one();
            while store.calls() != ["first_seen", "forget"] {
                yield_now().await;
            }
            assert_eq!(held.copy().await, Outcome::Unavailable);
            assert_eq!(store.calls(), ["first_seen", "forget"], "nobody asks about what is in flight");
            first.abort();
            assert!(first.await.unwrap_err().is_cancelled());
        });
        assert_eq!(lines, [FAILED.to_owned(), IN_FLIGHT.into(), not_forgotten(DROPPED)]);
    }

    #[test]
    fn hold_up_nothing_but_each_other() {
        let held = Held::new(ReplayGuard::exact_request(MemoryReplayStore::new(10)));
        let ((), lines) = run(async {
            let first = held.begin().await;
            assert_eq!(deliver(&held.endpoint, OTHER_BODY, None).await, Outcome::Handled);
            assert_eq!(deliver(&held.endpoint, OTHER_BODY, Some(NOW)).await, Outcome::Handled);
            held.go.notify_one();
            assert_eq!(first.await.unwrap(), Outcome::Handled);
        });
        assert_eq!((held.runs(), lines), (3, vec![]));
    }

    #[test]
    fn are_none_where_there_is_nothing_to_go_by() {
        let guard = ReplayGuard::pointer("/no_such_id", None, MemoryReplayStore::new(10)).unwrap();
        let held = Held::new(guard);
        let ((), lines) = run(async {
            let (first, second) = (held.begin().await, held.begin().await);
            // Both wait by now, so that both are woken.
            held.go.notify_waiters();
            assert_eq!(first.await.unwrap(), Outcome::Handled);
            assert_eq!(second.await.unwrap(), Outcome::Handled);
        });
        assert_eq!(held.runs(), 2);
        let warning = "WARN message=the replay guard finds nothing to go by in events of this name: each is handled as often as it \
                       comes event=\"issue_new\"";
        assert_eq!(lines, [warning], "once for the name");
    }

    #[test]
    fn are_known_by_every_endpoint_of_a_guard_and_by_none_of_another() {
        let store = Moody::default();
        let guard = ReplayGuard::exact_request(store.clone());
        let held = Held::new(guard.clone());
        let time = Time::new();
        let (same, _) = time.endpoint(guard);
        let (another, _) = time.endpoint(ReplayGuard::exact_request(store));
        let (alone, _) = time.endpoint(ReplayGuard::exact_request(Moody::default()));
        let ((), lines) = run(async {
            let first = held.begin().await;
            assert_eq!(deliver(&same, BODY, None).await, Outcome::Unavailable);
            assert_eq!(deliver(&another, BODY, None).await, Outcome::Duplicate, "all that it can ask is the store");
            assert_eq!(deliver(&alone, BODY, None).await, Outcome::Handled);
            held.go.notify_one();
            assert_eq!(first.await.unwrap(), Outcome::Handled);
            assert_eq!(deliver(&same, BODY, None).await, Outcome::Duplicate);
        });
        assert_eq!(lines, [IN_FLIGHT, DUPLICATE, DUPLICATE]);
    }
}

/// What ends before its end: the sender hung up, the runtime was shut down, or the store panicked.
mod given_up {
    use super::*;

    fn poll_once<T>(future: Pin<&mut impl Future<Output = T>>) -> Poll<T> {
        future.poll(&mut Context::from_waker(Waker::noop()))
    }

    /// Drops a delivery when it has nothing left but to wait.
    async fn give_up(endpoint: &Endpoint) {
        let mut delivery = pin!(deliver(endpoint, BODY, None));
        for _ in 0..10 {
            assert!(poll_once(delivery.as_mut()).is_pending());
        }
    }

    #[test]
    fn a_delivery_dropped_while_its_handler_runs_may_come_again() {
        for guard in
            [ReplayGuard::exact_request(MemoryReplayStore::new(10)), ReplayGuard::exact_request(Moody::quick())]
        {
            let held = Held::new(guard);
            let ((), lines) = run(async {
                give_up(&held.endpoint).await;
                held.begun.notified().await;
                let again = held.begin().await;
                held.go.notify_one();
                assert_eq!(again.await.unwrap(), Outcome::Handled);
            });
            assert_eq!((held.runs(), lines), (2, vec![]));
        }
    }

    #[test]
    fn a_delivery_dropped_while_the_store_remembers_it_may_come_again() {
        let store = Moody::quick();
        let (endpoint, runs) = Time::new().endpoint(ReplayGuard::exact_request(store.clone()));
        store.first_seen_will(Manner::Stalls);
        let ((), lines) = run(async {
            give_up(&endpoint).await;
            assert_eq!(store.calls(), ["first_seen", "forget"]);
            store.first_seen_will(Manner::Answers);
            assert_eq!(deliver(&endpoint, BODY, None).await, Outcome::Handled);
        });
        assert_eq!((runs.load(Ordering::SeqCst), lines), (1, vec![]));
    }

    #[test]
    fn of_a_store_that_has_to_be_waited_for_the_log_says_that_it_did_not_forget() {
        let store = Moody::default();
        let held = Held::new(ReplayGuard::exact_request(store.clone()));
        let ((), lines) = run(async {
            give_up(&held.endpoint).await;
            assert_eq!(held.copy().await, Outcome::Duplicate, "and no longer in flight");
        });
        assert_eq!(lines, [not_forgotten(DROPPED), DUPLICATE.into()]);
        assert_eq!(store.calls(), ["first_seen", "first_seen"]);
    }

    #[test]
    fn of_a_store_that_cannot_forget_at_once_the_log_says_why() {
        for (manner, reason) in
            [(Manner::Fails, "the store is gone"), (Manner::Stalls, DROPPED), (Manner::Panics, "it panicked")]
        {
            let store = Moody::quick();
            store.forget_will(manner);
            let held = Held::new(ReplayGuard::exact_request(store.clone()));
            let ((), lines) = run(async {
                give_up(&held.endpoint).await;
                assert_eq!(held.copy().await, Outcome::Duplicate);
            });
            assert_eq!(lines, [not_forgotten(reason), DUPLICATE.into()]);
        }
    }

    #[test]
    fn a_delivery_dropped_while_the_store_forgets_it_is_forgotten_all_the_same() {
        let store = Moody::quick();
        let held = Held::new(ReplayGuard::exact_request(store.clone()));
        held.fails.store(true, Ordering::SeqCst);
        store.forget_will(Manner::Stalls);
        held.go.notify_one();
        let ((), lines) = run(async {
            let mut delivery = Box::pin(deliver(&held.endpoint, BODY, None));
            while store.calls() != ["first_seen", "forget"] {
                assert!(poll_once(delivery.as_mut()).is_pending());
            }
            store.forget_will(Manner::Answers);
            drop(delivery);
            assert_eq!(store.calls(), ["first_seen", "forget", "forget"]);
            held.go.notify_one();
            assert_eq!(held.copy().await, Outcome::Failed);
        });
        assert_eq!((held.runs(), lines), (2, vec![FAILED.to_owned(); 2]));
    }

    #[test]
    fn what_was_handled_or_is_a_duplicate_is_never_forgotten() {
        let store = Moody::quick();
        let (endpoint, _) = Time::new().endpoint(ReplayGuard::exact_request(store.clone()));
        for outcome in [Outcome::Handled, Outcome::Duplicate, Outcome::Duplicate] {
            assert_eq!(delivered(&endpoint, BODY, None), outcome);
        }
        assert_eq!(store.calls(), ["first_seen"; 3]);
    }

    /// A panic in the store while another one unwinds would end the process, if it were let through.
    #[test]
    fn a_store_that_panics_ends_neither_the_process_nor_the_endpoint() {
        let store = Moody::quick();
        let (endpoint, runs) = Time::new().endpoint(ReplayGuard::exact_request(store.clone()));
        let panics = || {
            let endpoint = endpoint.clone();
            async move { tokio::spawn(async move { deliver(&endpoint, BODY, None).await }).await.unwrap_err().is_panic() }
        };
        let ((), lines) = run(async {
            store.first_seen_will(Manner::Panics);
            assert!(panics().await);
            assert_eq!(store.calls(), ["first_seen", "forget"]);
            store.forget_will(Manner::Panics);
            assert!(panics().await);
            assert!(panics().await, "the second time as well: it is no longer in flight");
            store.first_seen_will(Manner::Answers);
            assert_eq!(deliver(&endpoint, BODY, None).await, Outcome::Duplicate, "as the log foretold");
            assert_eq!(deliver(&endpoint, OTHER_BODY, None).await, Outcome::Handled);
        });
        assert_eq!(lines, [not_forgotten("it panicked"), not_forgotten("it panicked"), DUPLICATE.into()]);
        assert_eq!(runs.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn a_store_that_panics_when_it_is_asked_to_forget_hides_no_failure() {
        let store = Moody::quick();
        store.forget_will(Manner::Panics);
        let held = Held::new(ReplayGuard::exact_request(store.clone()));
        held.fails.store(true, Ordering::SeqCst);
        let ((), lines) = run(async {
            let first = held.begin().await;
            held.go.notify_one();
            assert!(first.await.unwrap_err().is_panic());
            assert_eq!(held.copy().await, Outcome::Duplicate);
        });
        assert_eq!(lines, [FAILED.to_owned(), not_forgotten("it panicked"), DUPLICATE.into()]);
    }
}

mod memory {
    use super::*;
    use proptest::prelude::*;

    /// Which of the keys it knows, at a time at which nothing expires that has not yet; it knows none of them after.
    fn remembered(store: &MemoryReplayStore, keys: &str, now: u64) -> String {
        let is_known = |key: &char| {
            let known = !store.is_first_at(&key.to_string(), None, now);
            // To ask is to remember.
            store.remove(&key.to_string());
            known
        };
        keys.chars().filter(is_known).collect()
    }

    #[test]
    fn a_key_is_first_once_until_it_expires() {
        let store = MemoryReplayStore::new(10);
        assert!(store.is_empty());
        assert!(store.is_first_at("a", Some(NOW + 10), NOW));
        for now in [NOW, NOW + 1, NOW + 9] {
            assert!(!store.is_first_at("a", Some(NOW + 1000), now), "{now}: and it is not prolonged");
        }
        assert!(store.is_first_at("a", Some(NOW + 20), NOW + 10));
        assert!(!store.is_first_at("a", None, NOW + 19));
        assert!(store.is_first_at("a", None, NOW + 20), "remembered anew, it expires anew");
        assert!(!store.is_first_at("a", None, u64::MAX - 1), "and without an end, never");
        assert_eq!(store.len(), 1);
    }

    #[test]
    fn a_key_that_has_expired_when_it_comes_is_first_each_time() {
        let store = MemoryReplayStore::new(10);
        for expires in [0, NOW - 1, NOW] {
            assert!(store.is_first_at("a", Some(expires), NOW));
            assert!(store.is_first_at("a", Some(expires), NOW));
        }
    }

    #[test]
    fn what_expires_first_makes_room_and_of_what_never_expires_the_oldest() {
        let store = MemoryReplayStore::new(4);
        for (key, expires) in [("n", None), ("c", Some(NOW + 30)), ("a", Some(NOW + 10)), ("o", None)] {
            assert!(store.is_first_at(key, expires, NOW));
        }
        assert!(store.is_first_at("b", Some(NOW + 20), NOW));
        assert_eq!(store.len(), 4);
        assert_eq!(remembered(&store, "nocba", NOW), "nocb", "a expired first");

        let store = MemoryReplayStore::new(2);
        for key in ["a", "b", "c", "d"] {
            assert!(store.is_first_at(key, None, NOW));
        }
        assert_eq!(remembered(&store, "dcba", NOW), "dc");

        let store = MemoryReplayStore::new(2);
        for key in ["a", "b", "c"] {
            assert!(store.is_first_at(key, Some(NOW + 10), NOW));
        }
        assert_eq!(remembered(&store, "cba", NOW), "cb", "of those that expire together, the oldest");
    }

    #[test]
    fn what_has_expired_makes_room_before_anything_else_does() {
        let store = MemoryReplayStore::new(2);
        store.is_first_at("n", None, NOW);
        store.is_first_at("a", Some(NOW + 10), NOW);
        assert!(store.is_first_at("b", Some(NOW + 20), NOW + 10));
        assert_eq!(remembered(&store, "bn", NOW + 10), "bn");
    }

    #[test]
    fn a_key_that_is_forgotten_is_first_again_and_has_a_new_age() {
        let store = MemoryReplayStore::new(2);
        store.is_first_at("a", None, NOW);
        store.is_first_at("b", None, NOW);
        store.remove("a");
        store.remove("unknown");
        assert_eq!(store.len(), 1);
        assert!(store.is_first_at("a", None, NOW));
        store.is_first_at("c", None, NOW);
        assert_eq!(remembered(&store, "cab", NOW), "ca", "b is older than a is now");
    }

    #[test]
    fn a_capacity_of_zero_is_one() {
        let store = MemoryReplayStore::new(0);
        assert!(store.is_first_at("a", None, NOW));
        assert!(!store.is_first_at("a", None, NOW));
        assert!(store.is_first_at("b", None, NOW));
        assert!(store.is_first_at("a", None, NOW));
        assert_eq!(store.len(), 1);
    }

    #[test]
    fn it_expires_by_the_clock_that_it_was_given() {
        let time = Time::new();
        let store = time.store();
        assert!(store.is_first("a", Some(NOW + 1)));
        assert!(!store.is_first("a", Some(NOW + 1)));
        time.set(NOW + 1);
        assert!(store.is_first("a", Some(NOW + 2)));
        // Its word as a `ReplayStore` is the same.
        let ((), _) = run(async {
            assert!(!store.first_seen("a", None).await.unwrap());
            store.forget("a").await.unwrap();
            assert!(store.first_seen("a", None).await.unwrap());
        });
    }

    #[test]
    fn without_a_clock_of_its_own_it_takes_the_systems() {
        let store = MemoryReplayStore::new(2);
        assert!(store.is_first("a", Some(NOW)), "long ago");
        assert!(store.is_first("a", Some(u64::MAX - 1)));
        assert!(!store.is_first("a", None));
    }

    #[test]
    fn it_prints_how_much_it_remembers_and_nothing_of_what() {
        let store = MemoryReplayStore::new(2);
        store.is_first("a", None);
        assert_eq!(format!("{store:?}"), "MemoryReplayStore { capacity: 2, len: 1 }");
    }

    /// What the store is, in the plainest words.
    #[derive(Default)]
    struct Model {
        capacity: usize,
        /// Oldest first.
        keys: Vec<(u8, Option<u64>)>,
    }

    impl Model {
        fn is_first(&mut self, key: u8, expires: Option<u64>, now: u64) -> bool {
            self.keys.retain(|(_, expires)| expires.is_none_or(|expires| expires > now));
            if self.keys.iter().any(|(known, _)| *known == key) {
                return false;
            }
            if self.keys.len() == self.capacity {
                let ends = self.keys.iter().map(|(_, expires)| expires.unwrap_or(u64::MAX));
                let (first_to_expire, _) = ends.enumerate().min_by_key(|&(_, expires)| expires).unwrap();
                self.keys.remove(first_to_expire);
            }
            self.keys.push((key, expires));
            true
        }
    }

    #[derive(Debug, Clone)]
    enum Step {
        IsFirst { key: u8, expires: Option<u64> },
        Forget(u8),
        Wait(u64),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            6 => (0u8..8, prop::option::of(0u64..40)).prop_map(|(key, expires)| Step::IsFirst { key, expires }),
            1 => (0u8..8).prop_map(Step::Forget),
            2 => (0u64..6).prop_map(Step::Wait),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn it_does_what_its_model_does(capacity in 1usize..6, steps in prop::collection::vec(step(), 0..80)) {
            let store = MemoryReplayStore::new(capacity);
            let mut model = Model { capacity, ..Model::default() };
            let mut now = 0;
            for step in steps {
                match step {
                    Step::IsFirst { key, expires } => {
                        let first = store.is_first_at(&key.to_string(), expires, now);
                        prop_assert_eq!(first, model.is_first(key, expires, now), "{} at {}", key, now);
                    }
                    Step::Forget(key) => {
                        store.remove(&key.to_string());
                        model.keys.retain(|(known, _)| *known != key);
                    }
                    Step::Wait(seconds) => now += seconds,
                }
                prop_assert!(store.len() <= capacity);
                prop_assert_eq!(store.len(), model.keys.len());
            }
        }
    }
}
