//! Loads receivers on loopback with signed deliveries, each with an id of its own, on connections that stay open.
//!
//! An open loop unless the rate is `max`: requests are due at even intervals, whatever the server does. Time is counted from the
//! moment at which a request was due, so that a server that stalls is charged for every request that had to wait, sent or
//! not; the time from the actual sending is told beside it. With `max` a connection sends its next request when the answer to
//! its last has come whole, and both times are the same.
//!
//! Bodies are made and signed as they go out, not before the clock starts: that keeps memory small and timestamps fresh. What
//! it costs is measured first and told as `making_nanoseconds`. One thread that sleeps in epoll, so that little is taken
//! from a server on the same cores. Linux only. Prints one line of JSON.

#[path = "open_loop/answer.rs"]
mod answer;
#[cfg(target_os = "linux")]
#[path = "open_loop/drive.rs"]
mod drive;
#[path = "open_loop/plan.rs"]
mod plan;
#[path = "open_loop/request.rs"]
mod request;

use clap::Parser;
use plan::{Plan, Rate, Seen};
use pylon_webhooks::Secret;
use request::Requests;
use serde_json::json;
use std::error::Error;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Load receivers on loopback with signed deliveries.
#[derive(Parser)]
struct Arguments {
    /// Where a receiver listens, on loopback; once for each of several, which share the connections evenly.
    #[arg(long, value_name = "ADDRESS", required = true)]
    to: Vec<SocketAddr>,
    /// The endpoint's path.
    #[arg(long, default_value = "/webhook")]
    path: String,
    /// Connections, each with one request at a time.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=1000))]
    connections: u16,
    /// Requests a second, or `max`: as fast as answers come.
    #[arg(long, default_value = "max")]
    rate: Rate,
    /// For so long, in seconds, at most 600.
    #[arg(long)]
    seconds: Option<f64>,
    /// So many requests, at most 10 million.
    #[arg(long)]
    requests: Option<usize>,
    /// The environment variable that holds the secret.
    #[arg(long, default_value = "PYLON_WEBHOOK_SECRET")]
    secret_env: String,
    /// Send a timestamp, and sign it with the body.
    #[arg(long)]
    timestamp: bool,
    /// Write a line for each request that got 200: the id in its body, the event's id in the answer, when it was sent and when
    /// the answer had come, in nanoseconds of the machine's monotonic clock.
    #[arg(long, value_name = "FILE")]
    ids: Option<PathBuf>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    let plan = Plan::new(
        arguments.to,
        arguments.connections.into(),
        arguments.rate,
        arguments.seconds,
        arguments.requests,
        arguments.ids.is_some(),
    )?;
    let secret = std::env::var(&arguments.secret_env)
        .map_err(|_| format!("expected a secret in environment variable {}, found none", arguments.secret_env))?;
    let requests = Requests::new(Secret::new(&secret)?, plan.to[0], &arguments.path, arguments.timestamp);
    let making_nanoseconds = cost_of_making(&requests);
    let seen = drive(&plan, &requests)?;
    if let Some(file) = &arguments.ids {
        write_ids(file, &seen, &requests)?;
    }
    println!("{}", report(seen, making_nanoseconds));
    Ok(())
}

#[cfg(target_os = "linux")]
use drive::drive;

#[cfg(not(target_os = "linux"))]
fn drive(_: &Plan, _: &Requests) -> Result<Seen, Box<dyn Error>> {
    Err("this generator waits in epoll: expected Linux, found another system".into())
}

/// Nanoseconds that one request takes to be written and signed: the mean over many.
fn cost_of_making(requests: &Requests) -> u64 {
    const MADE: u64 = 10_000;
    let mut request = Vec::new();
    let begin = Instant::now();
    for number in 0..MADE {
        requests.write(number, &mut request);
        std::hint::black_box(&request);
    }
    begin.elapsed().as_nanos() as u64 / MADE
}

fn write_ids(file: &Path, seen: &Seen, requests: &Requests) -> std::io::Result<()> {
    let mut lines = BufWriter::new(File::create(file)?);
    for acknowledged in &seen.acknowledged {
        let (id, event) = (requests.id(acknowledged.number), acknowledged.event.as_deref().unwrap_or("-"));
        writeln!(lines, "{id} {event} {} {}", acknowledged.sent, acknowledged.answered)?;
    }
    lines.flush()
}

fn report(mut seen: Seen, making_nanoseconds: u64) -> serde_json::Value {
    let seconds = seen.elapsed.as_secs_f64();
    json!({
        "sent": seen.sent,
        "not_sent": seen.not_sent,
        "answered": seen.statuses,
        "broken": seen.broken,
        "reconnected": seen.reconnected,
        "seconds": seconds,
        "per_second": seen.from_due.len() as f64 / seconds,
        "late_starts": seen.late_starts,
        "microseconds": quantiles(&mut seen.from_due),
        "microseconds_from_sending": quantiles(&mut seen.from_sending),
        "making_nanoseconds": making_nanoseconds,
    })
}

/// Of nanoseconds, in microseconds; none without any.
fn quantiles(nanoseconds: &mut [u64]) -> Option<serde_json::Value> {
    nanoseconds.sort_unstable();
    let last = nanoseconds.len().checked_sub(1)?;
    let at = |share: f64| nanoseconds[(last as f64 * share) as usize] as f64 / 1000.0;
    Some(json!({"p50": at(0.5), "p90": at(0.9), "p99": at(0.99), "p999": at(0.999), "max": at(1.0)}))
}
