//! `demo`: shows the receiver at work, without any set-up.

use crate::fault::Fault;
use crate::http_client::{cause, http_client, is_unconnected, parse_url};
use crate::input::secret::SecretArgs;
use crate::print::output::{Format, Output};
use crate::print::text;
use clap::Args;
use pylon_receiver::config::{DEFAULT_PATH, DestinationConfig, EndpointConfig, SecretSource, TransportConfig};
use pylon_receiver::{DeliveredEvent, Moment, Receiver, SystemWallClock, WallClock, handlers_of};
use pylon_webhooks::testing::{Sample, WebhookRequest};
use pylon_webhooks::{EventKind, HandlerError, Secret};
use reqwest::Url;
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

const EXAMPLES: &str = "\
Examples:
  pylon-receiver demo
  pylon-receiver demo --to http://127.0.0.1:8080/webhook

Exit codes: 0 every answer was as expected and every event arrived, 1 otherwise; with --to: 4 nothing answers there,
5 the secret is missing.";

/// Show the receiver at work: start one with a temporary ledger, send it signed samples and forgeries
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct DemoArgs {
    /// Send the demo's webhooks to this receiver; start none
    #[arg(long, value_name = "URL", value_parser = parse_url)]
    to: Option<Url>,

    #[command(flatten)]
    secret: SecretArgs,
}

/// The demo's own receiver needs no secret of yours.
const SECRET: &str = "secret-of-the-demo";
/// How long each step may take.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) async fn run(args: DemoArgs, out: &mut Output) -> Result<(), Fault> {
    match &args.to {
        Some(url) => send_to(url, &args.secret.secret()?, out).await,
        None => show(out).await,
    }
}

/// Sends the webhooks to a receiver.
async fn send_to(url: &Url, secret: &Secret, out: &mut Output) -> Result<(), Fault> {
    let answers = send_all(url, secret, out).await?;
    if out.format() == Format::Json {
        out.json(&json!({ "answers": answers }))?;
    }
    if answers.iter().all(|answer| answer.is_as_expected) { Ok(()) } else { Err(unexpected()) }
}

/// Sends the webhooks to a receiver of its own, whose app is down at first.
async fn show(out: &mut Output) -> Result<(), Fault> {
    let folder =
        tempfile::tempdir().map_err(|error| Fault::failed(format!("cannot create a temporary folder: {error}")))?;
    let app = Arc::new(App::default());
    let ledger = folder.path().join("pylon.db");

    say(out, "A receiver starts, with a ledger on disk. The app behind it is down.")?;
    let receiver = start(&ledger, &app).await?;
    let webhooks = receiver.webhooks().ok_or_else(|| Fault::failed("the receiver listens for no webhooks"))?;
    let url = parse_url(&format!("http://{webhooks}{DEFAULT_PATH}")).map_err(Fault::failed)?;
    let secret = Secret::new(SECRET).map_err(Fault::failed)?;
    say(out, "It answers signed webhooks of all kinds, and some other requests:")?;
    let answers = send_all(&url, &secret, out).await?;

    until(|| app.failed.load(Ordering::Relaxed) > 0).await?;
    say(out, "The app gets nothing. The receiver stops, and starts again with the same ledger.")?;
    receiver.shutdown().await.map_err(Fault::failed)?;
    let receiver = start(&ledger, &app).await?;

    say(out, "The app comes up, and gets every event that the receiver has accepted:")?;
    app.is_up.store(true, Ordering::Relaxed);
    let due: Vec<(&str, &str)> = answers.iter().filter_map(Answer::due).collect();
    until(|| app.delivered().len() >= due.len()).await?;
    receiver.shutdown().await.map_err(Fault::failed)?;
    let delivered = app.delivered();
    let is_complete = delivered.len() == due.len() && due.iter().all(|(id, _)| delivered.contains_key(*id));
    for (id, name) in due {
        let title = delivered.get(id).map_or("did not arrive", String::as_str);
        say(out, &format!("  {name:<20} {id}  {title}"))?;
    }
    let is_as_expected = is_complete && answers.iter().all(|answer| answer.is_as_expected);
    match out.format() {
        Format::Json => {
            out.json(&json!({ "answers": answers, "delivered": delivered, "complete": is_as_expected }))?;
        }
        Format::Text if is_as_expected => {
            out.line("Nothing is lost. The event that is not JSON is kept too, parked for you to look at.")?;
        }
        Format::Text => {}
    }
    if is_as_expected { Ok(()) } else { Err(unexpected()) }
}

/// The app behind the receiver.
#[derive(Default)]
struct App {
    is_up: AtomicBool,
    failed: AtomicUsize,
    /// The titles of issues, by event id.
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
        let (id, title) = (event.attempt.event().to_string(), event.text("issue_title").into_owned());
        self.delivered.lock().unwrap_or_else(PoisonError::into_inner).insert(id, title);
        Ok(())
    }
}

async fn start(ledger: &Path, app: &Arc<App>) -> Result<Receiver, Fault> {
    let app = app.clone();
    let handlers = handlers_of(move |event| {
        let handled = app.handle(&event);
        async move { handled }
    });
    let mut destination = DestinationConfig::new("app", TransportConfig::InProcess);
    // Somebody is watching.
    destination.retry.first_delay = Duration::from_millis(100);
    destination.retry.longest_delay = Duration::from_millis(500);
    let free_port = (Ipv4Addr::LOCALHOST, 0);
    let receiver = Receiver::builder()
        .listen(free_port)
        .admin(free_port)
        .sqlite(ledger)
        .endpoint(EndpointConfig::signed(DEFAULT_PATH, [SecretSource::given(SECRET)]))
        .destination(destination)
        .handlers("app", handlers);
    receiver.start().await.map_err(Fault::failed)
}

/// A request, and the answer that it should get.
struct Request {
    name: &'static str,
    request: WebhookRequest,
    expected: Expected,
}

/// What a receiver should do with a request.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Expected {
    /// Accept the event, and deliver it.
    Delivered,
    /// Accept the event, and park it.
    Parked,
    /// Refuse the request.
    Refused,
}

impl Expected {
    const fn status(self) -> u16 {
        match self {
            Self::Delivered | Self::Parked => 200,
            Self::Refused => 401,
        }
    }
}

fn requests(genuine: &Secret, now: Moment) -> Result<Vec<Request>, Fault> {
    let forged = Secret::new("another-secret").map_err(Fault::failed)?;
    let sample = |kind| WebhookRequest::new(Sample::of(kind).body());
    let issue = || sample(EventKind::IssueNew);
    let unknown = WebhookRequest::new(r#"{"event": "ticket.created", "issue_title": "Ticket created"}"#);
    let hour_ago = now.unix_seconds().saturating_sub(3600);
    let kinds = EventKind::ALL.iter().map(|&kind| (kind.name(), sample(kind).signed(genuine), Expected::Delivered));
    let others = [
        ("with a timestamp", issue().signed_at(genuine, now.unix_seconds()), Expected::Delivered),
        ("unknown event", unknown.signed(genuine), Expected::Delivered),
        ("not JSON", WebhookRequest::new("oops").signed(genuine), Expected::Parked),
        ("forged", issue().signed(&forged), Expected::Refused),
        ("an hour old", issue().signed_at(genuine, hour_ago), Expected::Refused),
        ("unsigned", issue(), Expected::Refused),
    ];
    Ok(kinds.chain(others).map(|(name, request, expected)| Request { name, request, expected }).collect())
}

/// The answer to a request.
#[derive(Serialize)]
struct Answer {
    #[serde(rename = "sent")]
    name: &'static str,
    status: u16,
    id: Option<String>,
    #[serde(skip)]
    is_as_expected: bool,
    #[serde(skip)]
    is_to_arrive: bool,
}

impl Answer {
    /// The id and the name of an event that the app should get.
    fn due(&self) -> Option<(&str, &str)> {
        Some((self.id.as_deref().filter(|_| self.is_to_arrive)?, self.name))
    }
}

async fn send_all(url: &Url, secret: &Secret, out: &mut Output) -> Result<Vec<Answer>, Fault> {
    let client = http_client(url)?;
    let mut answers = Vec::new();
    for request in requests(secret, SystemWallClock.now())? {
        answers.push(send(&client, url, request, out).await?);
    }
    Ok(answers)
}

async fn send(client: &reqwest::Client, url: &Url, request: Request, out: &mut Output) -> Result<Answer, Fault> {
    let Request { name, request, expected } = request;
    let mut sent = client.post(url.clone()).body(request.body);
    for (name, value) in &request.headers {
        sent = sent.header(name, value);
    }
    let answered = sent.send().await.map_err(|error| match is_unconnected(&error) {
        true => Fault::no_receiver(format!("nothing answers at {url}")),
        false => Fault::failed(cause(&error)),
    })?;
    let status = answered.status().as_u16();
    let body = answered.bytes().await.map_err(Fault::failed)?;
    // A receiver answers in JSON; another server may not.
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    let id = body["id"].as_str().map(str::to_owned);
    let shown = id.as_deref().or(body["error"].as_str()).unwrap_or_default();
    let is_as_expected = status == expected.status();
    let note = if is_as_expected { String::new() } else { format!("  <- expected {}", expected.status()) };
    say(out, format!("  {name:<20} {status}  {}{note}", text::cut(shown, 64)).trim_end())?;
    Ok(Answer { name, status, id, is_as_expected, is_to_arrive: expected == Expected::Delivered })
}

fn unexpected() -> Fault {
    Fault::failed("not every answer and delivery was as expected")
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
    let late = || Fault::failed(format!("a step of the demo took longer than {} seconds", PATIENCE.as_secs()));
    tokio::time::timeout(PATIENCE, waiting).await.map_err(|_| late())
}
