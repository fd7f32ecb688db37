//! The command `serve`, as a process: what is promised, under everything that goes wrong.

mod accepts;
mod connections;
mod damaged;
mod dead;
mod destination;
mod duplicates;
mod fails;
mod full;
mod http;
mod killed;
mod ledger;
mod process;
mod reload;
mod signals;
mod signed;

use destination::{Arrived, Destination, Reply};
use http::Answer;
use process::{Running, Scene, eventually};

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
