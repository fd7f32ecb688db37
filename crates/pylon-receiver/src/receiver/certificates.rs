//! Looks at certificates again, so that a renewed one is used without an order, and one that ends is told.

use super::Shared;
use super::client_certificates;
use crate::accept::Refreshed;
use crate::admin::Running;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// The pause between two looks.
const EVERY: Duration = Duration::from_secs(60);
/// How often certificates that end are told.
const TOLD_EVERY: Duration = Duration::from_secs(24 * 3600);

/// Looks until the receiver stops. What holds at the start is told by `Preflight`.
pub(super) async fn run(shared: Arc<Shared>) {
    let mut stopping = shared.stopping.subscribe();
    let mut told_at = Instant::now();
    while timeout(EVERY, stopping.wait_for(|&stopping| stopping)).await.is_err() {
        let looking = shared.clone();
        // The files may be on a slow disk.
        let Ok(is_new) = tokio::task::spawn_blocking(move || looking.look_at_certificates()).await else { continue };
        if is_new || told_at.elapsed() >= TOLD_EVERY {
            told_at = Instant::now();
            shared.warnings().iter().for_each(|warning| tracing::warn!("{warning}"));
        }
    }
}

impl Shared {
    /// Whether the receiver's own certificate was replaced.
    fn look_at_certificates(&self) -> bool {
        let config = Shared::config(self);
        *self.client_certificates() = client_certificates::ends(&config);
        let (Some(keys), Some(files)) = (&self.tls, &config.tls) else { return false };
        match keys.refresh(files) {
            Refreshed::Replaced => {
                tracing::info!("the TLS certificate and its key were read again: their files have changed");
                true
            }
            Refreshed::Refused(fault) => {
                tracing::warn!(%fault, "the changed TLS files cannot be used; the certificate from before stays in use");
                false
            }
            Refreshed::Unchanged => false,
        }
    }
}
