//! Whether the process is alive, and whether the receiver is ready.

use super::access::Caller;
use super::answer::{Answer, json};
use super::parts::AdminParts;
use crate::ledger::Ledger;
use crate::wire::{LiveStatus, Liveness, Readiness, ReadyStatus};
use axum::extract::State;
use axum::response::IntoResponse;
use axum::{Extension, Json};
use http::StatusCode;
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
pub(super) struct LastCheck(Arc<Mutex<Option<Checked>>>);

struct Checked {
    at: Instant,
    unmet: Option<String>,
}

pub(super) async fn live() -> Answer {
    json(&Liveness { status: LiveStatus::Live })
}

pub(super) async fn ready(
    State(parts): State<AdminParts>,
    Extension(last): Extension<LastCheck>,
    Extension(told): Extension<LastTold>,
    Extension(caller): Extension<Caller>,
) -> Answer {
    let unmet = unmet(&parts, last).await;
    let warnings = parts.running.as_ref().map(|running| running.warnings()).unwrap_or_default();
    told.tell(&unmet, &warnings);
    let (status, code) = match unmet.is_empty() {
        true => (ReadyStatus::Ready, StatusCode::OK),
        false => (ReadyStatus::NotReady, StatusCode::SERVICE_UNAVAILABLE),
    };
    let shown = |sentences: Vec<String>| (caller == Caller::Operator && !sentences.is_empty()).then_some(sentences);
    // For a caller without the token, `unmet` is left out; else it is there unless the receiver is ready.
    let answer = Readiness { status, unmet: shown(unmet), warnings: shown(warnings) };
    Ok((code, Json(answer)).into_response())
}

/// Why the receiver is not ready, a sentence for each reason.
pub(super) async fn unmet(parts: &AdminParts, last: LastCheck) -> Vec<String> {
    let mut unmet = Vec::from_iter(last.unmet(parts.ledger.clone()).await);
    match &parts.running {
        Some(running) => unmet.extend(running.unmet()),
        None => unmet.push("no receiver is running: the ledger is only read".to_owned()),
    }
    unmet
}

/// What was last told in the log: each change is told once, however often probes ask.
#[derive(Clone, Default)]
pub(super) struct LastTold(Arc<std::sync::Mutex<(Vec<String>, Vec<String>)>>);

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
