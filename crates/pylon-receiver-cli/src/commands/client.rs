//! The admin API, asked over HTTP or, where no receiver runs, within this process.

use super::fault::Fault;
use super::http_client::cause;
use super::text;
use axum::body::Body;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use http::{HeaderValue, Method, Request, StatusCode};
use pylon_receiver::Metrics;
use pylon_receiver::SystemWallClock;
use pylon_receiver::admin::{Access, AdminParts, router};
use pylon_receiver::ledger::Ledger;
use reqwest::Url;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;
use tower_service::Service;

/// Longer answers (64 MiB) are not the admin API's.
const MOST_BYTES: usize = 64 * 1024 * 1024;
/// An order may be about a great many events: the receiver carries it out to its end, and that is worth waiting for.
const ORDER_TIMEOUT: Duration = Duration::from_secs(3600);

/// Whom to ask.
pub(crate) enum Client {
    /// A running receiver.
    Http {
        /// Speaks HTTP.
        client: reqwest::Client,
        /// Where its admin API is.
        base: Url,
        /// The value of `Authorization`.
        authorization: Option<HeaderValue>,
    },
    /// The same API above a ledger that is only read.
    InProcess(axum::Router),
}

impl Client {
    /// The API above a ledger, with no receiver behind it.
    pub(crate) fn in_process(ledger: Arc<dyn Ledger>) -> Self {
        let (metrics, clock) = (Arc::new(Metrics::new()), Arc::new(SystemWallClock));
        Self::InProcess(router(AdminParts { ledger, running: None, metrics, clock }, Access::Loopback))
    }

    /// Asks for JSON.
    pub(crate) async fn get(&self, path: &str, query: &[(String, String)]) -> Result<Value, Fault> {
        read_json(&self.ask(Method::GET, path, query, None).await?)
    }

    /// Asks for bytes.
    pub(crate) async fn get_bytes(&self, path: &str) -> Result<Bytes, Fault> {
        self.ask(Method::GET, path, &[], None).await
    }

    /// Gives an order.
    pub(crate) async fn post(&self, path: &str, order: &Value) -> Result<Value, Fault> {
        read_json(&self.ask(Method::POST, path, &[], Some(order)).await?)
    }

    async fn ask(
        &self,
        method: Method,
        path: &str,
        query: &[(String, String)],
        order: Option<&Value>,
    ) -> Result<Bytes, Fault> {
        let order = order.map(Value::to_string);
        let (status, answer) = match self {
            Self::Http { client, base, authorization } => {
                let url = url(base, path, query);
                let mut request = client.request(method, url);
                if let Some(authorization) = authorization {
                    request = request.header(AUTHORIZATION, authorization);
                }
                if let Some(order) = order {
                    request = request.header(CONTENT_TYPE, "application/json").body(order).timeout(ORDER_TIMEOUT);
                }
                let answer = request.send().await.map_err(|error| unanswered(base, &error))?;
                let status = answer.status();
                (status, read_limited(answer, base).await?)
            }
            Self::InProcess(router) => {
                let base = Url::parse("http://localhost").expect("this text is a URL");
                let request = Request::builder().method(method).uri(url(&base, path, query).as_str());
                // The API answers whoever asks it by a name of this machine, and takes orders in JSON.
                let request = request.header(HOST, "localhost").header(CONTENT_TYPE, "application/json");
                let request = request.body(Body::from(order.unwrap_or_default()));
                let request = request.map_err(|error| Fault::failed(format!("not a request: {error}")))?;
                let Ok(answer) = router.clone().call(request).await;
                let status = answer.status();
                let body = axum::body::to_bytes(answer.into_body(), MOST_BYTES).await;
                (status, body.map_err(|error| Fault::failed(format!("the ledger's answer broke off: {error}")))?)
            }
        };
        if status.is_success() { Ok(answer) } else { Err(refused(status, &answer)) }
    }
}

/// Reads the records of an answer.
pub(crate) fn records<T: DeserializeOwned>(answer: Value) -> Result<T, Fault> {
    serde_json::from_value(answer).map_err(|_| not_the_api())
}

pub(crate) fn not_the_api() -> Fault {
    Fault::failed(
        "expected an answer of the admin API of a pylon-receiver of this version, found another one; check --admin-url",
    )
}

fn url(base: &Url, path: &str, query: &[(String, String)]) -> Url {
    let mut url = base.clone();
    url.set_path(&format!("{}{path}", base.path().trim_end_matches('/')));
    if !query.is_empty() {
        url.query_pairs_mut().extend_pairs(query);
    }
    url
}

fn read_json(answer: &[u8]) -> Result<Value, Fault> {
    serde_json::from_slice(answer).map_err(|_| not_the_api())
}

async fn read_limited(mut answer: reqwest::Response, base: &Url) -> Result<Bytes, Fault> {
    let mut body = Vec::new();
    while let Some(piece) = answer.chunk().await.map_err(|error| unanswered(base, &error))? {
        if body.len() + piece.len() > MOST_BYTES {
            return Err(not_the_api());
        }
        body.extend_from_slice(&piece);
    }
    Ok(body.into())
}

fn unanswered(base: &Url, error: &reqwest::Error) -> Fault {
    let cause = cause(error);
    if error.is_connect() {
        Fault::no_receiver(format!(
            "no receiver answers at {base}: {cause}; start one with `pylon-receiver serve`, or say where it is with --admin-url"
        ))
    } else {
        Fault::failed(format!("the receiver at {base} was asked and did not answer in full: {cause}"))
    }
}

/// What the API says when it does not do what was asked.
#[derive(Deserialize)]
struct Refusal {
    error: String,
    message: String,
}

fn refused(status: StatusCode, answer: &[u8]) -> Fault {
    let hint = match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            "; name the environment variable that holds its token with --token-env"
        }
        _ => "",
    };
    match serde_json::from_slice(answer) {
        Ok(Refusal { error, message }) => {
            let (error, message) = (text::cut(&error, 64), text::cut(&message, 1000));
            Fault::failed(format!("refused ({}, {error}): {message}{hint}", status.as_u16()))
        }
        Err(_) => Fault::failed(format!(
            "expected an answer of the admin API of a pylon-receiver, found status {}; check --admin-url{hint}",
            status.as_u16()
        )),
    }
}
