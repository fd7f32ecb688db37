//! The app behind the receiver: counts what arrives, and sometimes fails.

use crate::load;
use pylon_test_support::http::{Reply, listen};
use std::collections::HashMap;
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
    /// How often each id was answered with 200.
    pub(crate) taken: HashMap<String, u64>,
    /// How many deliveries were answered with 500.
    pub(crate) failed: u64,
    /// How many deliveries got no answer.
    pub(crate) hung_up: u64,
    /// Deliveries with another body than was sent.
    pub(crate) faults: Vec<String>,
}

impl App {
    /// Starts it.
    pub(crate) fn start(random: fastrand::Rng) -> Self {
        let seen = Arc::new(Mutex::new(Seen::default()));
        let (to_fill, random) = (seen.clone(), Mutex::new(random));
        let address = listen((Ipv4Addr::LOCALHOST, 0).into(), move |request| {
            let chance = random.lock().expect("nobody panics with it").u8(..100);
            let mut seen = to_fill.lock().expect("nobody panics with it");
            match chance {
                0..10 => {
                    seen.failed += 1;
                    Reply::status(500)
                }
                10..15 => {
                    seen.hung_up += 1;
                    Reply::Close("")
                }
                _ => {
                    take(&request.body, &mut seen);
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

fn take(body: &[u8], seen: &mut Seen) {
    match load::id_in(body) {
        Some(id) if load::body(id).as_bytes() == body => *seen.taken.entry(id.to_owned()).or_default() += 1,
        Some(id) => seen.faults.push(format!("{id}: expected the bytes that were sent, found others in a delivery")),
        None => seen.faults.push("expected an id in every delivery, found one without".into()),
    }
}
