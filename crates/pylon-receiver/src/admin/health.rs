//! Whether the process lives, and whether it keeps its promises.

use super::AdminParts;
use super::access::Caller;
use super::answer::{Answer, json};
use crate::ledger::Ledger;
use axum::extract::State;
use axum::response::IntoResponse;
use axum::{Extension, Json};
use http::StatusCode;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::Instant;

/// How long the ledger may take to say that it is well. Probes commonly give up not much later.
const CHECK_TIMEOUT: Duration = Duration::from_secs(2);

/// For how long a check holds: a commit with its sync costs something, and anybody may ask.
const CHECK_HOLDS: Duration = Duration::from_secs(1);

/// The last check of the ledger, for everybody who asks; one is made at a time.
#[derive(Clone, Default)]
pub(super) struct LastCheck(Arc<Mutex<Option<Checked>>>);

struct Checked {
    at: Instant,
    unmet: Option<String>,
}

pub(super) async fn live() -> Answer {
    json(&serde_json::json!({ "status": "live" }))
}

pub(super) async fn ready(
    State(parts): State<AdminParts>,
    Extension(last): Extension<LastCheck>,
    Extension(caller): Extension<Caller>,
) -> Answer {
    let mut unmet = Vec::from_iter(last.unmet(parts.ledger).await);
    match &parts.running {
        Some(running) => unmet.extend(running.unmet()),
        None => unmet.push("no receiver is running: the ledger is only read".to_owned()),
    }
    if unmet.is_empty() {
        return json(&serde_json::json!({ "status": "ready" }));
    }
    let body = match caller {
        Caller::Operator => serde_json::json!({ "status": "not_ready", "unmet": unmet }),
        Caller::Anybody => serde_json::json!({ "status": "not_ready" }),
    };
    Ok((StatusCode::SERVICE_UNAVAILABLE, Json(body)).into_response())
}

impl LastCheck {
    /// What the ledger cannot promise, by the last check or a new one.
    async fn unmet(self, ledger: Arc<dyn Ledger>) -> Option<String> {
        // To its end, also when whoever asked hangs up: else those who do so would have any number of checks under way.
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
