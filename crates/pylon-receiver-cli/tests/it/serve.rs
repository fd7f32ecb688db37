//! The command `serve`, as a process: what is promised, under everything that goes wrong.

mod accepts;
mod addresses;
mod backup;
mod connections;
mod damaged;
mod dead;
mod destination;
mod displaced;
mod duplicates;
mod fails;
mod first;
mod first_hour;
mod full;
mod health;
mod killed;
mod ledger;
mod moved;
#[cfg(feature = "nats")]
mod nats;
mod orders;
mod orphans;
mod pauses;
#[cfg(feature = "postgres")]
mod postgres;
mod process;
mod reload;
mod restart;
mod roles;
mod shortage;
mod signals;
mod signed;

use destination::Destination;
use process::{Running, Scene, eventually};
use pylon_test_support::http::{Answer, Reply, Request};

/// What Pylon signs with.
const SECRET: &str = "the-secret-of-the-sender";
/// What the deliveries of some destinations are signed with.
const APP_SECRET: &str = "the-secret-of-the-app";
/// What no log may repeat of a body.
const WORDS: &str = "a customer's private words";

/// A body like no other's.
fn body(number: usize) -> String {
    format!(r#"{{"event_type":"issue_new","issue_id":"{number}","issue_title":"{WORDS}"}}"#)
}

/// The destination `app` of a configuration, patient with nothing, and further lines about it.
fn app(url: &str, further: &str) -> String {
    format!("[[destination]]\nname = \"app\"\nurl = \"{url}\"\ntimeout = \"200ms\"\n{further}\n{HASTE}")
}

/// How often and how soon a destination is tried again: often, and soon.
const HASTE: &str = "[destination.retry]\nfirst_delay = \"10ms\"\nlongest_delay = \"50ms\"\nattempts = 1000\n\
                     [destination.circuit]\nfirst_pause = \"10ms\"\nlongest_pause = \"50ms\"\n";

/// The ledger did not keep the event, and the answer asks the sender to try again.
#[track_caller]
fn assert_unavailable(answer: &Answer) {
    let told = (answer.status, answer.header("retry-after"), answer.text());
    assert_eq!(told, (503, Some("5"), r#"{"error":"unavailable"}"#.to_owned()));
}
