//! Asks the admin API: over HTTP or, if no receiver runs, within this process.

use crate::fault::Fault;
use crate::http_client::{NAME, cause};
use crate::print::text;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, USER_AGENT};
use http::{HeaderValue, Method, Request, StatusCode};
use pylon_receiver::OfflineAdmin;
use pylon_receiver::ledger::Ledger;
use pylon_receiver::wire::{ErrorAnswer, path};
use reqwest::Url;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::fs::File;
use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

/// The longest answer, in bytes (64 MiB): a longer one is not from the admin API.
const MOST_BYTES: usize = 64 * 1024 * 1024;
/// How long an order may take: the receiver processes every event that matches before it answers.
const ORDER_TIMEOUT: Duration = Duration::from_secs(3600);

/// The parameters of a query.
pub(crate) type Query = Vec<(String, String)>;

/// The parameters of a query that is a flat object.
pub(crate) fn query(parameters: &impl Serialize) -> Query {
    let Ok(Value::Object(members)) = serde_json::to_value(parameters) else { return Query::new() };
    let text = |value| match value {
        Value::String(text) => text,
        other => other.to_string(),
    };
    members.into_iter().map(|(name, value)| (name, text(value))).collect()
}

/// A way to the admin API.
pub(crate) enum Client {
    /// That of a running receiver.
    Http {
        /// The HTTP client.
        client: reqwest::Client,
        /// The URL of the admin API.
        base: Url,
        /// The value of the header `Authorization`.
        authorization: Option<HeaderValue>,
    },
    /// The same API over a ledger file.
    Offline {
        /// The API.
        admin: OfflineAdmin,
        /// The ledger.
        ledger: Arc<dyn Ledger>,
    },
}

impl Client {
    /// Gets an answer in JSON: a type of [`wire`](pylon_receiver::wire), or any value to print it with fields of a later version.
    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str, query: &Query) -> Result<T, Fault> {
        read_json(&self.ask(Method::GET, path, query, None).await?)
    }

    /// Gets bytes.
    pub(crate) async fn get_bytes(&self, path: &str) -> Result<Bytes, Fault> {
        self.ask(Method::GET, path, &Query::new(), None).await
    }

    /// Gives an order.
    pub(crate) async fn post<T: DeserializeOwned>(&self, path: &str, order: &impl Serialize) -> Result<T, Fault> {
        let order = serde_json::to_vec(order);
        let order = order.map_err(|error| Fault::failed(format!("the order cannot be written as JSON: {error}")))?;
        read_json(&self.ask(Method::POST, path, &Query::new(), Some(order.into())).await?)
    }

    /// Has what was changed in a ledger file complete in it.
    pub(crate) async fn close(&self) -> Result<(), Fault> {
        match self {
            Self::Http { .. } => Ok(()),
            Self::Offline { ledger, .. } => ledger.close().await.map_err(Fault::failed),
        }
    }

    /// Writes a copy of the ledger into a file; says how many bytes it has.
    pub(crate) async fn back_up(&self, into: &mut File) -> Result<u64, Fault> {
        let unwritable = |error: io::Error| Fault::failed(format!("the copy cannot be written: {error}"));
        match self {
            Self::Http { client, base, authorization } => {
                let mut request = client.get(url(base, path::BACKUP, &Query::new())).timeout(ORDER_TIMEOUT);
                if let Some(authorization) = authorization {
                    request = request.header(AUTHORIZATION, authorization);
                }
                let mut answer = request.send().await.map_err(|error| unanswered(base, &error))?;
                let status = answer.status();
                if !status.is_success() {
                    return Err(refused(status, &read_limited(answer, base).await?));
                }
                if answer.headers().get(CONTENT_TYPE).is_none_or(|kind| kind != "application/vnd.sqlite3") {
                    return Err(not_the_api());
                }
                let mut written = 0;
                while let Some(piece) = answer.chunk().await.map_err(|error| unanswered(base, &error))? {
                    into.write_all(&piece).map_err(unwritable)?;
                    written += piece.len() as u64;
                }
                Ok(written)
            }
            Self::Offline { ledger, .. } => {
                let backup = ledger.backup().await.map_err(Fault::failed)?;
                io::copy(&mut backup.into_file(), into).map_err(unwritable)
            }
        }
    }

    async fn ask(&self, method: Method, path: &str, query: &Query, order: Option<Bytes>) -> Result<Bytes, Fault> {
        let (status, answer) = match self {
            Self::Http { client, base, authorization } => {
                let mut request = client.request(method, url(base, path, query));
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
            Self::Offline { admin, .. } => {
                let base = Url::parse("http://localhost").expect("this text is a URL");
                let request = Request::builder().method(method).uri(url(&base, path, query).as_str());
                // The list of orders tells a command's by it.
                let request = request.header(USER_AGENT, NAME);
                let request = request.body(order.unwrap_or_default());
                let request = request.map_err(|error| Fault::failed(format!("not a request: {error}")))?;
                let (parts, answer) = admin.ask(request).await.into_parts();
                (parts.status, answer)
            }
        };
        if status.is_success() { Ok(answer) } else { Err(refused(status, &answer)) }
    }
}

fn url(base: &Url, path: &str, query: &Query) -> Url {
    let mut url = base.clone();
    url.set_path(&format!("{}{path}", base.path().trim_end_matches('/')));
    if !query.is_empty() {
        url.query_pairs_mut().extend_pairs(query);
    }
    url
}

/// Reads an answer that was got as any JSON.
pub(crate) fn read<T: DeserializeOwned>(answer: &Value) -> Result<T, Fault> {
    T::deserialize(answer).map_err(|_| not_the_api())
}

fn read_json<T: DeserializeOwned>(answer: &[u8]) -> Result<T, Fault> {
    serde_json::from_slice(answer).map_err(|_| not_the_api())
}

fn not_the_api() -> Fault {
    Fault::failed(
        "expected an answer of the admin API of a pylon-receiver of this version, found another one; check --admin-url",
    )
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
            "no receiver answers at {base}: {cause}; start one with `pylon-receiver serve`, or give its address with --admin-url"
        ))
    } else {
        Fault::failed(format!("the receiver at {base} did not answer in full: {cause}"))
    }
}

fn refused(status: StatusCode, answer: &[u8]) -> Fault {
    let hint = match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            "; name the environment variable that holds its token with --token-env"
        }
        _ => "",
    };
    match serde_json::from_slice(answer) {
        Ok(ErrorAnswer { error, message }) => {
            let (error, message) = (text::cut(&error, 64), text::cut(&message, 1000));
            Fault::failed(format!("refused ({}, {error}): {message}{hint}", status.as_u16()))
        }
        Err(_) => Fault::failed(format!(
            "expected an answer of the admin API of a pylon-receiver, found status {}; check --admin-url{hint}",
            status.as_u16()
        )),
    }
}
