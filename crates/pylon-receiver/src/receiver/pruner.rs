//! Forgets what is done and old, in the background.

use super::Shared;
use crate::ledger::{Owner, Prune, Pruned};
use crate::metrics::Metrics;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::MissedTickBehavior;

/// The time between two looks at what is old.
const EVERY: Duration = Duration::from_secs(60);
/// The pause between two commits of one look, so that accepting is never far behind.
const PAUSE: Duration = Duration::from_millis(20);

/// Prunes as long as the receiver runs, unless another receiver on the same ledger does.
pub(super) async fn run(shared: Arc<Shared>, owner: Owner, metrics: Arc<Metrics>) {
    let mut ticks = tokio::time::interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        loop {
            // Without a retention, deduplication keys are forgotten all the same: they have a time of their own.
            let prune = Prune { owner, kept_for: shared.config().retention.delivered };
            match shared.ledger.prune(prune).await {
                Ok(Pruned::Here { events, more }) => {
                    metrics.pruned(events);
                    if !more {
                        break;
                    }
                }
                Ok(Pruned::Elsewhere) => break,
                Err(error) => {
                    tracing::warn!(%error, "old events could not be pruned");
                    break;
                }
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}
