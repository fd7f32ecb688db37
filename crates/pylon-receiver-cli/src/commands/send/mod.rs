//! `send`: sends requests as Pylon would, or as a forger would.

mod answers;

use crate::fault::Fault;
use crate::http_client::{cause, http_client, is_unconnected, parse_url};
use crate::input::bytes::file_or_standard_input;
use crate::input::kind::KindParser;
use crate::input::secret::SecretArgs;
use crate::input::timestamp::TimestampArgs;
use crate::print::output::Output;
use answers::{Answer, Answers, Unanswered};
use clap::Args;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue};
use pylon_receiver::config::SecretSource;
use pylon_receiver::{Randomness, SystemRandomness};
use pylon_webhooks::testing::{Sample, signed_headers};
use pylon_webhooks::{EventKind, Secret};
use reqwest::{Client, Url};
use std::path::PathBuf;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// How many requests may wait for an answer at a time; a further one waits for the answer to another.
const MOST_UNDER_WAY: usize = 1000;
/// How much of an answer's body to read, in bytes.
const MOST_ANSWER: usize = 64 * 1024;

const EXAMPLES: &str = "\
Examples:
  pylon-receiver send issue_new --to http://127.0.0.1:8080/webhook
  pylon-receiver send issue_new --set issue_title='Export fails' --timestamp --to http://127.0.0.1:8080/webhook
  pylon-receiver send --body body.json --to http://127.0.0.1:8000/webhook
  pylon-receiver send issue_new --count 1000 --rate 50 --to http://127.0.0.1:8080/webhook
  pylon-receiver send issue_new --forge --to http://127.0.0.1:8080/webhook

With --count, the issue_id and the message_id of request 2 end in `-2`, and so on, so that no two requests are
equal; a body from --body is sent unchanged each time. Without --rate, each request waits for the answer to the
one before. With --rate, requests are paced from the start, and up to 1000 may be in flight.

Exit codes: 0 all answers were 2xx (with --forge: 401), 1 some were not, 4 nothing answers there,
5 the secret is missing.";

/// Send signed samples, or a body of your own, to a receiver or an app
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct SendArgs {
    /// Kind of event to send a sample of
    #[arg(value_parser = KindParser, required_unless_present = "body")]
    kind: Option<EventKind>,

    /// URL to send to
    #[arg(long, value_name = "URL", value_parser = parse_url)]
    to: Url,

    /// Send the bytes of this file unchanged; `-` is standard input
    #[arg(long, value_name = "FILE", conflicts_with = "kind")]
    body: Option<PathBuf>,

    /// Set a key of the sample to this text; repeatable
    #[arg(long, value_name = "KEY=TEXT", value_parser = parse_pair, conflicts_with = "body")]
    set: Vec<(String, String)>,

    #[command(flatten)]
    secret: SecretArgs,

    #[command(flatten)]
    timestamp: TimestampArgs,

    /// Sign with a random secret: every request must be refused
    #[arg(long, conflicts_with_all = ["secret_env", "secret_file"])]
    forge: bool,

    /// Number of requests
    #[arg(long, value_name = "NUMBER", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    count: u32,

    /// Requests per second, whether or not they are answered
    #[arg(long, value_name = "PER_SECOND", value_parser = parse_rate)]
    rate: Option<f64>,

    /// Add a header; repeatable
    #[arg(long, value_name = "NAME=VALUE", value_parser = parse_header)]
    header: Vec<(HeaderName, HeaderValue)>,

    /// Add a header with the value of an environment variable, for tokens; repeatable
    #[arg(long, value_name = "NAME=VARIABLE", value_parser = parse_header_variable)]
    header_env: Vec<(HeaderName, String)>,
}

pub(crate) async fn run(args: SendArgs, out: &mut Output) -> Result<(), Fault> {
    let sender = Sender::new(&args)?;
    let mut answers = Answers::new(args.count, args.forge);
    match args.rate {
        None => {
            for number in 1..=args.count {
                let answer = send(&sender.client, sender.request(number)).await;
                answers.add(number, answer, out)?;
            }
        }
        Some(rate) => sender.paced(args.count, rate, &mut answers, out).await?,
    }
    answers.end(&args.to, out)
}

/// What all requests have in common.
struct Sender<'a> {
    args: &'a SendArgs,
    client: Client,
    secret: Secret,
    headers: HeaderMap,
    content: Content,
}

/// The content of requests.
enum Content {
    /// These bytes.
    Bytes(Vec<u8>),
    /// A sample; if it is sent more than once, each request has its own value of these ids.
    Sample { sample: Sample, ids: Vec<(&'static str, String)> },
}

impl<'a> Sender<'a> {
    fn new(args: &'a SendArgs) -> Result<Self, Fault> {
        let secret = if args.forge { made_up_secret()? } else { args.secret.secret()? };
        let content = match (&args.body, args.kind) {
            (None, Some(kind)) => Content::sample(kind, &args.set),
            (Some(path), _) => Content::Bytes(file_or_standard_input(path)?),
            (None, None) => return Err(Fault::usage("expected a kind or --body, found neither")),
        };
        let mut headers = HeaderMap::new();
        for (name, value) in &args.header {
            headers.append(name, value.clone());
        }
        for (name, variable) in &args.header_env {
            headers.append(name, header_in(variable)?);
        }
        Ok(Self { args, client: http_client(&args.to)?, secret, headers, content })
    }

    /// Sends requests at a rate, each at its time after the start: a late answer delays no other request.
    async fn paced(&self, count: u32, rate: f64, answers: &mut Answers, out: &mut Output) -> Result<(), Fault> {
        let start = Instant::now();
        let mut under_way = JoinSet::new();
        for number in 1..=count {
            let due = start + Duration::from_secs_f64(f64::from(number - 1) / rate);
            loop {
                let has_room = under_way.len() < MOST_UNDER_WAY;
                tokio::select! {
                    biased;
                    Some(done) = under_way.join_next() => report(done, answers, out)?,
                    () = tokio::time::sleep_until(due), if has_room => break,
                }
            }
            let (client, request) = (self.client.clone(), self.request(number));
            under_way.spawn(async move { (number, send(&client, request).await) });
        }
        while let Some(done) = under_way.join_next().await {
            report(done, answers, out)?;
        }
        Ok(())
    }

    /// The request of this number, from 1, signed now.
    fn request(&self, number: u32) -> reqwest::Request {
        let body = self.content.body(number, self.args.count);
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        for (name, value) in signed_headers(&self.secret, &body, self.args.timestamp.value()) {
            let name = HeaderName::from_bytes(name.as_bytes()).expect("it is a name that Pylon uses");
            headers.insert(name, HeaderValue::try_from(value).expect("it is digits"));
        }
        // Options replace the usual headers.
        for name in self.headers.keys() {
            headers.remove(name);
        }
        headers.extend(self.headers.iter().map(|(name, value)| (name.clone(), value.clone())));
        let mut request = reqwest::Request::new(http::Method::POST, self.args.to.clone());
        *request.headers_mut() = headers;
        *request.body_mut() = Some(body.into());
        request
    }
}

impl Content {
    fn sample(kind: EventKind, set: &[(String, String)]) -> Self {
        let sample = set.iter().fold(Sample::of(kind), |sample, (key, text)| sample.with(key, text.as_str()));
        let event = sample.event();
        let ids = ["issue_id", "message_id"].map(|key| (key, event.text(key).into_owned()));
        let ids = ids.into_iter().filter(|(_, id)| !id.is_empty()).collect();
        Self::Sample { sample, ids }
    }

    fn body(&self, number: u32, count: u32) -> Vec<u8> {
        match self {
            Self::Bytes(body) => body.clone(),
            Self::Sample { sample, .. } if count == 1 => sample.body(),
            Self::Sample { sample, ids } => {
                let numbered = |sample: Sample, (key, id): &(&str, String)| sample.with(key, format!("{id}-{number}"));
                ids.iter().fold(sample.clone(), numbered).body()
            }
        }
    }
}

type Done = Result<(u32, Result<Answer, Unanswered>), tokio::task::JoinError>;

fn report(done: Done, answers: &mut Answers, out: &mut Output) -> Result<(), Fault> {
    let (number, answer) = done.map_err(|error| Fault::failed(format!("a request was lost: {error}")))?;
    answers.add(number, answer, out)
}

async fn send(client: &Client, request: reqwest::Request) -> Result<Answer, Unanswered> {
    let unanswered =
        |error: reqwest::Error| Unanswered { reason: cause(&error), is_connected: !is_unconnected(&error) };
    let mut answer = client.execute(request).await.map_err(unanswered)?;
    let status = answer.status();
    let mut body = Vec::new();
    while body.len() < MOST_ANSWER
        && let Some(piece) = answer.chunk().await.map_err(unanswered)?
    {
        body.extend_from_slice(&piece);
    }
    body.truncate(MOST_ANSWER);
    Ok(Answer { status, body: String::from_utf8_lossy(&body).into_owned() })
}

fn made_up_secret() -> Result<Secret, Fault> {
    let mut secret = [0; 32];
    SystemRandomness.fill(&mut secret);
    Secret::new(secret).map_err(Fault::failed)
}

fn header_in(variable: &str) -> Result<HeaderValue, Fault> {
    let value = SecretSource::Environment(variable.into()).read().map_err(Fault::configuration)?;
    let mut value = HeaderValue::from_bytes(&value).map_err(|_| {
        Fault::configuration(format!(
            "expected a header's value in environment variable {variable}, found something else"
        ))
    })?;
    value.set_sensitive(true);
    Ok(value)
}

fn parse_pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.into(), value.into())),
        _ => Err("expected a key and a text with `=` in between, such as issue_title=Hello".into()),
    }
}

fn parse_header(text: &str) -> Result<(HeaderName, HeaderValue), String> {
    let (name, value) = parse_header_variable(text)?;
    let value = HeaderValue::try_from(value).map_err(|_| "expected a header's value, found something else")?;
    Ok((name, value))
}

fn parse_header_variable(text: &str) -> Result<(HeaderName, String), String> {
    let expected = || "expected a header's name and a value with `=` in between, such as X-Tenant=acme".to_owned();
    let (name, value) = text.split_once('=').ok_or_else(expected)?;
    Ok((HeaderName::try_from(name).map_err(|_| expected())?, value.into()))
}

fn parse_rate(text: &str) -> Result<f64, String> {
    let rate = text.parse().ok().filter(|rate| (0.001..=1e6).contains(rate));
    rate.ok_or_else(|| "expected a number from 0.001 to 1000000, such as 50".into())
}
