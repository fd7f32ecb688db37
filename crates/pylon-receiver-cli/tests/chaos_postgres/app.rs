//! The app behind the receivers: notes what arrives, in order, and sometimes fails.

use crate::load::Id;
use pylon_test_support::http::{Reply, Request, listen};
use std::collections::{BTreeSet, HashMap};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

/// An app that listens as long as the process runs.
#[derive(Debug)]
pub(crate) struct App {
    /// The address.
    pub(crate) address: SocketAddr,
    seen: Arc<Mutex<Seen>>,
}

/// What has arrived.
#[derive(Debug, Default, Clone)]
pub(crate) struct Seen {
    /// What came of each id.
    pub(crate) arrived: HashMap<String, Arrived>,
    /// How many deliveries were answered with 500.
    pub(crate) failed: u64,
    /// How many deliveries got no answer.
    pub(crate) hung_up: u64,
    /// Deliveries with another body than was sent.
    pub(crate) faults: Vec<String>,
    /// How many requests have come.
    moment: u64,
}

/// What came of an id. Moments count requests.
#[derive(Debug, Default, Clone)]
pub(crate) struct Arrived {
    /// When it came first, whatever was answered.
    pub(crate) first: u64,
    /// When it was answered with 200 first.
    pub(crate) first_taken: Option<u64>,
    /// How often it was answered with 200.
    pub(crate) taken: u64,
    /// The events and attempts that were answered with 200.
    pub(crate) attempts: BTreeSet<(String, u32)>,
}

impl App {
    /// Starts it.
    pub(crate) fn start(random: fastrand::Rng) -> Self {
        let seen = Arc::new(Mutex::new(Seen::default()));
        let (to_fill, random) = (seen.clone(), Mutex::new(random));
        let address = listen((Ipv4Addr::LOCALHOST, 0).into(), move |request| {
            let chance = random.lock().expect("nobody panics with it").u8(..100);
            let mut seen = to_fill.lock().expect("nobody panics with it");
            seen.moment += 1;
            match chance {
                0..10 => {
                    arrive(&request, &mut seen, false);
                    seen.failed += 1;
                    Reply::status(500)
                }
                10..15 => {
                    arrive(&request, &mut seen, false);
                    seen.hung_up += 1;
                    Reply::Close("")
                }
                _ => {
                    arrive(&request, &mut seen, true);
                    Reply::OK
                }
            }
        });
        Self { address, seen }
    }

    /// What has arrived until now.
    pub(crate) fn seen(&self) -> Seen {
        self.seen.lock().expect("nobody panics with it").clone()
    }
}

fn arrive(request: &Request, seen: &mut Seen, is_taken: bool) {
    let Some(id) = Id::of_body(&request.body) else {
        seen.faults.push("expected an id in every delivery, found one without".into());
        return;
    };
    if id.body().as_bytes() != request.body {
        seen.faults.push(format!("{id}: expected the bytes that were sent, found others in a delivery"));
    }
    let moment = seen.moment;
    let arrived = seen.arrived.entry(id.to_string()).or_insert_with(|| Arrived { first: moment, ..Default::default() });
    if is_taken {
        arrived.first_taken.get_or_insert(moment);
        arrived.taken += 1;
        arrived.attempts.insert((request.event_id(), request.attempt()));
    }
}
