//! Forgets what is done and old, beside everything else.

use super::Shared;
use crate::metrics::Metrics;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::MissedTickBehavior;

/// Between two looks at what is old.
const EVERY: Duration = Duration::from_secs(60);
/// Between two commits of one look, so that accepting is never far behind.
const PAUSE: Duration = Duration::from_millis(20);

/// Prunes for as long as the receiver runs.
pub(super) async fn run(shared: Arc<Shared>, metrics: Arc<Metrics>) {
    let mut ticks = tokio::time::interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let now = shared.clock.now();
        // Without a retention there is nothing to forget but deduplication keys, which have their own time.
        let kept_for = shared.config().retention.delivered.unwrap_or(Duration::MAX);
        loop {
            match shared.ledger.prune(now.before(kept_for), now).await {
                Ok(pruned) => {
                    metrics.pruned(pruned.events);
                    if !pruned.more {
                        break;
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "what is old could not be forgotten");
                    break;
                }
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}
