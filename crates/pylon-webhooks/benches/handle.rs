//! Times `handle` beside the two things that it cannot do without: the HMAC of the body and a typed parse of it.
//!
//! Run by `make bench`. All rows of one body are timed in turns within one run, so that what slows the machine slows all;
//! each figure is the median of the turns, in nanoseconds for one call.

use hmac::{Hmac, KeyInit, Mac};
use pylon_webhooks::{IssueNewEvent, Secret, WebhookHandler, sign};
use serde::Deserialize;
use sha2::Sha256;
use std::hint::black_box;
use std::time::Instant;

const SECRET: &str = "your-webhook-secret";
const TURNS: usize = 201;

/// A row of the table: its name, what it times, and the times.
type Row<'a> = (&'a str, &'a mut dyn FnMut(), Vec<f64>);

/// The same fields as an owned struct, as one would write it with serde alone.
#[derive(Deserialize)]
#[expect(dead_code, reason = "the fields are there to be parsed")]
struct IssueNew {
    event_type: String,
    issue_id: String,
    issue_number: String,
    issue_title: String,
    issue_team_name: String,
    issue_account_id: String,
    issue_account_name: String,
    issue_requester_email: String,
    issue_requesteer_id: String,
    issue_assignee_email: String,
    issue_assignee_id: String,
    issue_body: String,
    issue_status: String,
    issue_sf_type: String,
    issue_last_message_sent_at: String,
    issue_link: String,
    issue_tags: Vec<String>,
}

fn main() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../benchmarks/bodies");
    for name in ["issue_new_small", "issue_new_large"] {
        let body =
            std::fs::read(format!("{folder}/{name}.json")).expect("the benchmark's body stands in the repository");
        measure(name, &body);
    }
}

fn measure(name: &str, body: &[u8]) {
    let secret = Secret::new(SECRET).expect("not empty");
    let signature = sign(&secret, body, None);
    let mut handler = WebhookHandler::new(SECRET).expect("not empty");
    handler.on(|event: IssueNewEvent| {
        black_box(event.issue_title());
    });
    let keyed = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).expect("any length");
    let calls = 2_000_000 / (body.len() + 500);

    let mut hmac = || {
        let mut mac = keyed.clone();
        mac.update(black_box(body));
        black_box(mac.finalize());
    };
    let mut parse = || {
        black_box(serde_json::from_slice::<IssueNew>(black_box(body)).expect("the benchmark's body"));
    };
    let mut handle = || {
        black_box(handler.handle(black_box(body), Some(&signature), None).expect("authentic"));
    };
    let mut rows: [Row<'_>; 3] =
        [("hmac", &mut hmac, vec![]), ("parse", &mut parse, vec![]), ("handle", &mut handle, vec![])];
    for _ in 0..TURNS {
        for (_, run, times) in &mut rows {
            let start = Instant::now();
            for _ in 0..calls {
                run();
            }
            times.push(start.elapsed().as_nanos() as f64 / calls as f64);
        }
    }
    let medians = rows.map(|(row, _, times)| (row, median(times)));
    for (row, nanoseconds) in medians {
        println!("{{\"body\":\"{name}\",\"bytes\":{},\"row\":\"{row}\",\"nanoseconds\":{nanoseconds:.0}}}", body.len());
    }
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}
