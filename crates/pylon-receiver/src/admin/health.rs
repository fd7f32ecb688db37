//! Whether the process is alive, and whether the receiver is ready.

use super::answer::{Answer, json};
use super::parts::AdminParts;
use crate::access::Caller;
use crate::ledger::Ledger;
use crate::wire::{LiveStatus, Liveness, Readiness, ReadyStatus};
use axum::response::IntoResponse;
use axum::{Extension, Json};
use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE};
use http::{Method, Response, StatusCode};
use http_body_util::Full;
use std::fmt;
use std::sync::{Arc, PoisonError};
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::Instant;

/// How long the ledger may take to commit. Probes commonly time out soon after.
const CHECK_TIMEOUT: Duration = Duration::from_secs(2);

/// How long a check stays valid: each costs a commit with its sync, and anybody may ask.
const CHECK_HOLDS: Duration = Duration::from_secs(1);

/// The last check of the ledger, shared by all callers; one check runs at a time.
#[derive(Clone, Default)]
struct LastCheck(Arc<Mutex<Option<Checked>>>);

struct Checked {
    at: Instant,
    unmet: Option<String>,
}

/// Whether a receiver is ready, for who may know nothing else.
#[derive(Clone)]
pub(crate) struct Health {
    parts: AdminParts,
    last: LastCheck,
    told: LastTold,
}

impl Health {
    /// The health of what the API reads from.
    pub(crate) fn new(parts: AdminParts) -> Self {
        Self { parts, last: LastCheck::default(), told: LastTold::default() }
    }

    /// The answer to a load balancer: 200 or 503.
    pub(crate) async fn answer(&self, method: &Method) -> Response<Full<Bytes>> {
        let (status, text) = match *method {
            Method::GET | Method::HEAD if self.unmet().await.is_empty() => (StatusCode::OK, "ok"),
            Method::GET | Method::HEAD => (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
            _ => (StatusCode::METHOD_NOT_ALLOWED, "method not allowed"),
        };
        // No cache may keep the answer.
        let mut response = Response::builder().status(status).header(CACHE_CONTROL, "no-store");
        if status == StatusCode::METHOD_NOT_ALLOWED {
            response = response.header(ALLOW, "GET, HEAD");
        }
        let body = if method == Method::HEAD { "" } else { text };
        response.header(CONTENT_TYPE, "text/plain").body(body.into()).expect("these headers are valid")
    }

    /// Why the receiver is not ready, a sentence for each reason.
    pub(crate) async fn unmet(&self) -> Vec<String> {
        let mut unmet = Vec::from_iter(self.last.clone().unmet(self.parts.ledger.clone()).await);
        match &self.parts.running {
            Some(running) => unmet.extend(running.unmet()),
            None => unmet.push("no receiver is running: the ledger is only read".to_owned()),
        }
        unmet
    }

    /// What waits in the spool, and what a 200 means meanwhile.
    fn spool(&self) -> Vec<String> {
        self.parts.ledger.spool().map(|spool| spool.sentences()).unwrap_or_default()
    }
}

impl fmt::Debug for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Health")
    }
}

pub(super) async fn live() -> Answer {
    json(&Liveness { status: LiveStatus::Live })
}

pub(super) async fn ready(Extension(health): Extension<Health>, Extension(caller): Extension<Caller>) -> Answer {
    let unmet = health.unmet().await;
    let warnings = health.parts.running.as_ref().map(|running| running.warnings()).unwrap_or_default();
    health.told.tell(&unmet, &warnings);
    // The spool has lines of its own in the log.
    let warnings = [warnings, health.spool()].concat();
    let (status, code) = match unmet.is_empty() {
        true => (ReadyStatus::Ready, StatusCode::OK),
        false => (ReadyStatus::NotReady, StatusCode::SERVICE_UNAVAILABLE),
    };
    let shown = |sentences: Vec<String>| (caller.may_read() && !sentences.is_empty()).then_some(sentences);
    let role = health.parts.running.as_ref().map(|running| running.role()).filter(|_| caller.may_read());
    let durability = health.parts.ledger.durability().filter(|_| caller.may_read());
    let durability = durability.map(|durability| durability.meaning.into());
    let answer = Readiness { status, role, durability, unmet: shown(unmet), warnings: shown(warnings) };
    Ok((code, Json(answer)).into_response())
}

/// What was last told in the log: each change is told once, however often probes ask.
#[derive(Clone, Default)]
struct LastTold(Arc<std::sync::Mutex<(Vec<String>, Vec<String>)>>);

impl LastTold {
    fn tell(&self, unmet: &[String], warnings: &[String]) {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if last.0 != unmet {
            match unmet {
                [] => tracing::info!("the receiver is ready again"),
                _ => tracing::warn!(unmet = unmet.join("; "), "the receiver is not ready"),
            }
        }
        if last.1 != warnings && !warnings.is_empty() {
            tracing::warn!(warnings = warnings.join("; "), "the receiver needs care before long");
        }
        *last = (unmet.to_vec(), warnings.to_vec());
    }
}

impl LastCheck {
    /// Why the ledger cannot commit, from the last check or a new one.
    async fn unmet(self, ledger: Arc<dyn Ledger>) -> Option<String> {
        // A caller that hangs up does not end the check: otherwise such callers could start any number of them.
        let checking = tokio::spawn(async move {
            let mut last = self.0.lock().await;
            if let Some(checked) = &*last
                && checked.at.elapsed() < CHECK_HOLDS
            {
                return checked.unmet.clone();
            }
            let unmet = check(&*ledger).await;
            *last = Some(Checked { at: Instant::now(), unmet: unmet.clone() });
            unmet
        });
        checking.await.unwrap_or_else(|_| Some("the ledger could not be checked: the check broke off".to_owned()))
    }
}

async fn check(ledger: &dyn Ledger) -> Option<String> {
    match tokio::time::timeout(CHECK_TIMEOUT, ledger.check()).await {
        Ok(checked) => checked.err().map(|error| error.to_string()),
        Err(_) => {
            Some(format!("the ledger is slow: expected a commit within {} s, found none", CHECK_TIMEOUT.as_secs()))
        }
    }
}
