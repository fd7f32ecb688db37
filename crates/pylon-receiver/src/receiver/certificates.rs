//! Looks at the TLS files again, so that a renewed certificate is used without an order, and one that ends is told.

use super::Shared;
use crate::accept::{Refreshed, TlsKeys};
use crate::time::WallClock;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// The pause between two looks.
const EVERY: Duration = Duration::from_secs(60);
/// How often a certificate that ends is told.
const TOLD_EVERY: Duration = Duration::from_secs(24 * 3600);

/// Looks until the receiver stops. What holds at the start is told by `Preflight`.
pub(super) async fn run(shared: Arc<Shared>, keys: Arc<TlsKeys>, clock: Arc<dyn WallClock>) {
    let mut stopping = shared.stopping.subscribe();
    let mut told_at = Instant::now();
    while timeout(EVERY, stopping.wait_for(|&stopping| stopping)).await.is_err() {
        let Some(files) = shared.config().tls.clone() else { continue };
        let looked = keys.clone();
        // The files may be on a slow disk.
        let refreshed = tokio::task::spawn_blocking(move || looked.refresh(&files)).await;
        let is_new = match refreshed {
            Ok(Refreshed::Replaced) => {
                tracing::info!("the TLS certificate and its key were read again: their files have changed");
                true
            }
            Ok(Refreshed::Refused(fault)) => {
                tracing::warn!(%fault, "the changed TLS files cannot be used; the certificate from before stays in use");
                false
            }
            Ok(Refreshed::Unchanged) | Err(_) => false,
        };
        if is_new || told_at.elapsed() >= TOLD_EVERY {
            told_at = Instant::now();
            if let Some(warning) = keys.warning(clock.now()) {
                tracing::warn!("{warning}");
            }
        }
    }
}
