//! `demo`: a receiver that shows what it does, with nothing set up.

use super::fault::Fault;
use super::http_client::{http_client, parse_url};
use super::output::{Format, Output};
use clap::Args;
use pylon_receiver::Receiver;
use pylon_receiver::config::{DEFAULT_PATH, DestinationConfig, EndpointConfig, SecretSource, TransportConfig};
use pylon_receiver::deliver::{DeliveredEvent, handlers_of};
use pylon_receiver::{Clock, Moment, SystemClock};
use pylon_webhooks::testing::{Sample, WebhookRequest};
use pylon_webhooks::{EventKind, HandlerError, Secret};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

const EXAMPLES: &str = "\
Examples:
  pylon-receiver demo";

/// Show what it does: start a receiver with a temporary ledger, send it signed samples and forgeries
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct DemoArgs {}

/// Whoever runs the demo needs no secret: this one is made for it alone.
const SECRET: &str = "secret-of-the-demo";
/// How long the whole may take.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) async fn run(_args: DemoArgs, out: &mut Output) -> Result<(), Fault> {
    let folder =
        tempfile::tempdir().map_err(|error| Fault::failed(format!("no temporary folder can be made: {error}")))?;
    let app = Arc::new(App::default());
    let ledger = folder.path().join("pylon.db");

    say(out, "A receiver starts, with a ledger on disk. The app behind it is down.")?;
    let receiver = start(&ledger, &app).await?;
    say(out, "Seven signed webhooks come in, and some that are not right:")?;
    let mut answers = Vec::new();
    for request in requests(SystemClock.now()) {
        answers.push(post(&receiver, request, out).await?);
    }
    let accepted: BTreeSet<String> = answers.iter().filter_map(|answer| answer.id.clone()).collect();
    let as_expected = answers.iter().all(|answer| answer.is_as_expected);

    until(|| app.failed.load(Ordering::Relaxed) > 0).await?;
    say(out, "Nothing can be delivered. The receiver is stopped, and starts again on the same ledger:")?;
    receiver.shutdown().await.map_err(Fault::failed)?;
    let receiver = start(&ledger, &app).await?;

    say(out, "The app is up again:")?;
    app.is_up.store(true, Ordering::Relaxed);
    // What is not JSON was accepted too, and is parked: nobody could read it.
    until(|| app.delivered().len() + 1 >= accepted.len()).await?;
    receiver.shutdown().await.map_err(Fault::failed)?;
    let delivered = app.delivered();
    for (id, what) in &delivered {
        say(out, &format!("  {id}  {what}"))?;
    }
    let is_complete = delivered.keys().all(|id| accepted.contains(id)) && delivered.len() + 1 == accepted.len();
    match out.format() {
        Format::Json => out.json(&json!({
            "answers": answers.iter().map(Answer::json).collect::<Vec<_>>(),
            "delivered": delivered,
            "complete": is_complete && as_expected,
        }))?,
        Format::Text if is_complete && as_expected => {
            out.line("Every accepted event has arrived; the one that is not JSON is kept, parked.")?;
        }
        Format::Text => {}
    }
    if is_complete && as_expected { Ok(()) } else { Err(Fault::failed("not everything went as it should have")) }
}

/// The app behind the receiver.
#[derive(Default)]
struct App {
    is_up: AtomicBool,
    failed: AtomicUsize,
    delivered: Mutex<BTreeMap<String, String>>,
}

impl App {
    fn delivered(&self) -> BTreeMap<String, String> {
        self.delivered.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn handle(&self, event: &DeliveredEvent) -> Result<(), HandlerError> {
        if !self.is_up.load(Ordering::Relaxed) {
            self.failed.fetch_add(1, Ordering::Relaxed);
            return Err("the app is down".into());
        }
        let title = event.text("issue_title");
        let what = format!("{}: {title}, attempt {}", event.event_type(), event.attempt.number);
        self.delivered.lock().unwrap_or_else(PoisonError::into_inner).insert(event.attempt.event().to_string(), what);
        Ok(())
    }
}

async fn start(ledger: &Path, app: &Arc<App>) -> Result<Receiver, Fault> {
    let app = app.clone();
    let handlers = handlers_of(move |event| {
        let handled = app.handle(&event);
        async move { handled }
    });
    let mut destination = DestinationConfig::new("app", TransportConfig::Handlers(Arc::new(handlers)));
    // Somebody is watching.
    destination.retry.first_delay = Duration::from_millis(100);
    destination.retry.longest_delay = Duration::from_millis(500);
    destination.circuit.first_pause = Duration::from_millis(100);
    destination.circuit.longest_pause = Duration::from_millis(500);
    let free_port = (Ipv4Addr::LOCALHOST, 0).into();
    let receiver = Receiver::builder()
        .listen(free_port)
        .admin(free_port)
        .sqlite(ledger)
        .endpoint(EndpointConfig::signed(DEFAULT_PATH, [SecretSource::given(SECRET)]))
        .destination(destination);
    receiver.start().await.map_err(Fault::failed)
}

/// A request, and what should be answered.
struct Request {
    name: &'static str,
    request: WebhookRequest,
    expected: u16,
}

fn requests(now: Moment) -> Vec<Request> {
    let secret = |text: &str| Secret::new(text).expect("it is not empty");
    let genuine = secret(SECRET);
    let sample = |kind| WebhookRequest::new(Sample::of(kind).body());
    let issue = || sample(EventKind::IssueNew);
    let mut requests: Vec<Request> = EventKind::ALL
        .into_iter()
        .map(|&kind| Request { name: kind.name(), request: sample(kind).signed(&genuine), expected: 200 })
        .collect();
    let hour_ago = now.unix_seconds().saturating_sub(3600);
    requests.extend([
        Request { name: "forged", request: issue().signed(&secret("another")), expected: 401 },
        Request { name: "unsigned", request: issue(), expected: 401 },
        Request { name: "an hour old", request: issue().signed_at(&genuine, hour_ago), expected: 401 },
        Request { name: "not JSON", request: WebhookRequest::new("oops").signed(&genuine), expected: 200 },
    ]);
    requests
}

/// What was answered.
struct Answer {
    name: &'static str,
    status: u16,
    id: Option<String>,
    is_as_expected: bool,
}

impl Answer {
    fn json(&self) -> Value {
        json!({"sent": self.name, "status": self.status, "id": self.id})
    }
}

async fn post(receiver: &Receiver, request: Request, out: &mut Output) -> Result<Answer, Fault> {
    let url = parse_url(&format!("http://{}{DEFAULT_PATH}", receiver.webhooks())).map_err(Fault::failed)?;
    let mut sent = http_client(&url)?.post(url).body(request.request.body);
    for (name, value) in &request.request.headers {
        sent = sent.header(name, value);
    }
    let answered = sent.send().await.map_err(Fault::failed)?;
    let status = answered.status().as_u16();
    let body: Value = serde_json::from_slice(&answered.bytes().await.map_err(Fault::failed)?).map_err(Fault::failed)?;
    let id = body["id"].as_str().map(str::to_owned);
    let said = id.as_deref().or(body["error"].as_str()).unwrap_or_default();
    say(out, &format!("  {:<20} {status}  {said}", request.name))?;
    Ok(Answer { name: request.name, status, is_as_expected: status == request.expected, id })
}

fn say(out: &mut Output, line: &str) -> Result<(), Fault> {
    match out.format() {
        Format::Text => {
            out.line(line)?;
            out.finish()
        }
        Format::Json => Ok(()),
    }
}

async fn until(holds: impl Fn() -> bool) -> Result<(), Fault> {
    let waiting = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let late = || Fault::failed(format!("what should have happened within {} seconds did not", PATIENCE.as_secs()));
    tokio::time::timeout(PATIENCE, waiting).await.map_err(|_| late())
}
