//! Senders: each sends signed requests to the receivers until it is told to end.

use crate::process::SECRET;
use crate::process::http::{Answered, Client};
use crate::receivers::{COUNT, Receivers};
use pylon_webhooks::Secret;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// The path of an endpoint without deduplication of what is sent here.
pub(crate) const PLAIN: &str = "/webhook";
/// The path of an endpoint that takes two events with the same `issue_id` for one.
pub(crate) const BY_POINTER: &str = "/by-pointer";
/// The path of another one, whose events are delivered in order, for each `issue_account_id`.
pub(crate) const IN_ORDER: &str = "/in-order";
/// Senders for each way, for each receiver.
const WAYS: [Way; 3] = [Way::Plain, Way::ByPointer, Way::InOrder];
/// How many keys a sender of [`Way::InOrder`] has.
const KEYS: u64 = 4;
/// Between two requests of a sender, so that the app keeps up on a small machine.
const PACE: Duration = Duration::from_millis(30);
/// Before the next request after one that failed.
const AFTER_FAILURE: Duration = Duration::from_millis(50);
const BODY: &str = include_str!("../../../../benchmarks/bodies/issue_new_small.json");
/// Stands in the body where each request has its own.
const SAMPLE_ID: &str = "5b0c0f0e-1111-4a4a-8b8b-000000000001";
/// Stands in the body where each line has its own.
const SAMPLE_LINE: &str = "7d0c0f0e-2222-4a4a-8b8b-000000000002";

/// Where a sender sends, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// Each request once, whatever comes of it.
    Plain,
    /// Each request until it is answered with 200, and then once more.
    ByPointer,
    /// Each request until it is answered with 200: the next one of the same key comes later.
    InOrder,
}

impl Way {
    fn path(self) -> &'static str {
        match self {
            Self::Plain => PLAIN,
            Self::ByPointer => BY_POINTER,
            Self::InOrder => IN_ORDER,
        }
    }
}

/// What a request has for itself: a UUID that says who has sent it as which one of which line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Id(String);

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Id {
    fn new(run: u32, part: u8, way: Way, sender: u16, key: u64, number: u64) -> Self {
        Self(format!("{run:08x}-{part:02x}{key:02x}-4a{:02x}-{sender:04x}-{number:012x}", way as u8))
    }

    /// The id in a body that [`Self::body`] may have made.
    pub(crate) fn of_body(body: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(body).ok()?;
        let id = text.split_once("\"issue_id\": \"")?.1.split('"').next()?;
        (id.len() == SAMPLE_ID.len() && id.is_ascii()).then(|| Self(id.to_owned()))
    }

    /// The body that has this id, always the same.
    pub(crate) fn body(&self) -> String {
        let line = format!("{}-000000000000", self.line());
        BODY.replacen(SAMPLE_ID, &self.0, 1).replacen(SAMPLE_LINE, &line, 1)
    }

    /// What all ids of one line begin with.
    pub(crate) fn line(&self) -> &str {
        &self.0[..23]
    }
}

/// What was answered.
#[derive(Debug, Default)]
pub(crate) struct Acknowledged {
    /// The id in the body, and the id of the event in each answer of 200 to it.
    pub(crate) events: HashMap<String, Vec<String>>,
    /// The ids of each line that were acknowledged, as they were sent one after the other.
    pub(crate) lines: BTreeMap<String, Vec<String>>,
    /// Those that may have been answered by a spool, which does not know what is a duplicate.
    pub(crate) by_spool: Vec<String>,
    /// How many answers had which status, by what went wrong at the time.
    pub(crate) statuses: BTreeMap<(String, u16), u64>,
    /// How many requests got no answer.
    pub(crate) unanswered: u64,
    /// Answers that are wrong in themselves.
    pub(crate) faults: Vec<String>,
}

impl Acknowledged {
    /// Adds what another sender saw.
    pub(crate) fn extend(&mut self, other: Self) {
        for (id, events) in other.events {
            self.events.entry(id).or_default().extend(events);
        }
        for (line, ids) in other.lines {
            self.lines.entry(line).or_default().extend(ids);
        }
        self.by_spool.extend(other.by_spool);
        for (place, count) in other.statuses {
            *self.statuses.entry(place).or_default() += count;
        }
        self.unanswered += other.unanswered;
        self.faults.extend(other.faults);
    }

    /// Adds one answer. Returns whether it was 200.
    fn add(&mut self, id: &Id, answered: Answered, label: &str) -> bool {
        *self.statuses.entry((label.to_owned(), answered.status)).or_default() += 1;
        match (answered.status, answered.event) {
            (200, Some(event)) => {
                self.events.entry(id.to_string()).or_default().push(event);
                return true;
            }
            (200, None) => self.faults.push(format!("{id}: expected an event id in an answer of 200, found none")),
            (503, _) => {}
            (status, _) => self.faults.push(format!("{id}: expected 200 or 503, found {status}")),
        }
        false
    }
}

/// What senders share.
#[derive(Debug)]
struct Shared {
    receivers: Arc<Receivers>,
    secret: Secret,
    is_over: AtomicBool,
    /// What goes wrong at the moment.
    label: Mutex<String>,
    run: u32,
    part: u8,
    has_spools: bool,
}

/// Senders at work.
#[derive(Debug)]
pub(crate) struct Load {
    shared: Arc<Shared>,
    senders: Vec<JoinHandle<Acknowledged>>,
    prober: Sender,
}

/// One sender, with its connections.
#[derive(Debug)]
struct Sender {
    shared: Arc<Shared>,
    way: Way,
    number: u16,
    sent: u64,
    clients: [Option<(SocketAddr, Client)>; COUNT],
    acknowledged: Acknowledged,
}

impl Load {
    /// Starts them.
    pub(crate) fn start(receivers: &Arc<Receivers>, run: u32, part: u8, has_spools: bool) -> Self {
        let secret = Secret::new(SECRET).expect("the secret of the tests is one");
        let label = Mutex::new(String::from("peace"));
        let receivers = receivers.clone();
        let shared = Arc::new(Shared { receivers, secret, is_over: false.into(), label, run, part, has_spools });
        let all = WAYS.iter().flat_map(|way| (0..COUNT).map(move |home| (*way, home)));
        let senders = all.zip(0..).map(|((way, home), number)| {
            let mut sender = Sender::new(&shared, way, number);
            std::thread::spawn(move || {
                sender.send_until_over(home);
                sender.acknowledged
            })
        });
        Self { senders: senders.collect(), prober: Sender::new(&shared, Way::Plain, u16::MAX), shared }
    }

    /// Whether the receivers have spools.
    pub(crate) fn has_spools(&self) -> bool {
        self.shared.has_spools
    }

    /// What goes wrong from now on.
    pub(crate) fn label(&self, label: &str) {
        let label = format!("{label}{}", if self.shared.has_spools { ", spools" } else { "" });
        *self.shared.label.lock().expect("nobody panics with it") = label;
    }

    /// Waits until each receiver has answered a new request with 200. Returns how long that took, of each.
    ///
    /// # Errors
    /// Which one has not in time.
    pub(crate) fn probe(&mut self, within: Duration) -> Result<[Duration; COUNT], String> {
        let begin = Instant::now();
        let mut took = [Duration::ZERO; COUNT];
        let mut left: Vec<usize> = (0..COUNT).collect();
        while !left.is_empty() {
            if begin.elapsed() > within {
                return Err(format!(
                    "expected every receiver to answer 200 within {within:?}, found that {left:?} have not"
                ));
            }
            left.retain(|&place| {
                let is_taken = self.prober.send_next(place, 0);
                if is_taken {
                    took[place] = begin.elapsed();
                }
                !is_taken
            });
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(took)
    }

    /// Ends all of them, and waits for that.
    pub(crate) fn end(self) -> Acknowledged {
        self.shared.is_over.store(true, Ordering::Relaxed);
        let mut all = self.prober.acknowledged;
        for sender in self.senders {
            all.extend(sender.join().expect("a sender does not panic"));
        }
        all
    }
}

impl Sender {
    fn new(shared: &Arc<Shared>, way: Way, number: u16) -> Self {
        let (shared, acknowledged) = (shared.clone(), Acknowledged::default());
        Self { shared, way, number, sent: 0, clients: Default::default(), acknowledged }
    }

    fn is_over(&self) -> bool {
        self.shared.is_over.load(Ordering::Relaxed)
    }

    /// Sends to one receiver after the other, or, since a spool keeps the order of its own events alone, to one.
    fn send_until_over(&mut self, home: usize) {
        let mut turn = home;
        while !self.is_over() {
            let key = if self.way == Way::InOrder { self.sent % KEYS } else { 0 };
            if !self.shared.has_spools {
                turn += 1;
            }
            self.send_next(turn % COUNT, key);
            std::thread::sleep(PACE);
        }
    }

    /// Sends a new request, as often as the way says. Returns whether it was answered with 200.
    fn send_next(&mut self, place: usize, key: u64) -> bool {
        let shared = self.shared.clone();
        let id = Id::new(shared.run, shared.part, self.way, self.number, key, self.sent);
        self.sent += 1;
        let mut to = place;
        let mut is_taken = self.send(&id, to);
        while !is_taken && self.way != Way::Plain && !self.is_over() {
            std::thread::sleep(AFTER_FAILURE);
            if !shared.has_spools {
                to = (to + 1) % COUNT;
            }
            is_taken = self.send(&id, to);
        }
        if is_taken && self.way == Way::ByPointer {
            self.send(&id, to);
        }
        if is_taken && self.way == Way::InOrder {
            self.acknowledged.lines.entry(id.line().to_owned()).or_default().push(id.to_string());
        }
        is_taken
    }

    fn send(&mut self, id: &Id, place: usize) -> bool {
        let address = self.shared.receivers.webhooks(place);
        let client = match self.clients[place].take() {
            Some((connected, client)) if connected == address => Ok(client),
            _ => Client::connect(address),
        };
        let answered = client.and_then(|mut client| {
            let answered = client.post_signed(self.way.path(), &self.shared.secret, id.body().as_bytes())?;
            self.clients[place] = Some((address, client));
            Ok(answered)
        });
        // Whatever ends the connection, the receiver is gone or frozen: what it answered until then is what counts.
        let Ok(answered) = answered else {
            self.acknowledged.unanswered += 1;
            return false;
        };
        if self.shared.has_spools && answered.status == 200 {
            self.acknowledged.by_spool.push(id.to_string());
        }
        let label = self.shared.label.lock().expect("nobody panics with it").clone();
        self.acknowledged.add(id, answered, &label)
    }
}
