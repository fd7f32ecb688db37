//! Forgets what is done and old, in the background.

use super::Shared;
use crate::ledger::{Owner, Prune, Pruned};
use crate::metrics::Metrics;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// The pause between two looks at what is old.
const EVERY: Duration = Duration::from_secs(60);
/// The pause between two commits of one look, so that accepting is never far behind.
const PAUSE: Duration = Duration::from_millis(20);

/// Prunes until the receiver stops, unless another receiver on the same ledger does.
pub(super) async fn run(shared: Arc<Shared>, owner: Owner, metrics: Arc<Metrics>) {
    let mut stopping = shared.stopping.subscribe();
    let mut pause = Duration::ZERO;
    // A call under way is waited for: one that came after the owner's release would keep others from pruning.
    while timeout(pause, stopping.wait_for(|&stopping| stopping)).await.is_err() {
        // Without a retention, deduplication keys are forgotten all the same: they have a time of their own.
        let prune = Prune { owner, kept_for: shared.config().retention.delivered };
        pause = match shared.ledger.prune(prune).await {
            Ok(Pruned::Here { events, more }) => {
                metrics.pruned(events);
                if more { PAUSE } else { EVERY }
            }
            Ok(Pruned::Elsewhere) => EVERY,
            Err(error) => {
                tracing::warn!(%error, "old events could not be pruned");
                EVERY
            }
        };
    }
}
