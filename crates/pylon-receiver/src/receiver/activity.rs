//! What the receiver has seen, for operators.

use super::Shared;
use crate::config::{DestinationConfig, ListenAddress};
use crate::deliver::address;
use crate::wire::{Activity, DestinationActivity, RetrySummary};

/// What the receiver has seen since its start.
pub(super) fn of(shared: &Shared) -> Activity {
    let config = shared.config();
    let now = shared.clock.now();
    let destination = |destination: &DestinationConfig| DestinationActivity {
        name: destination.name.to_string(),
        address: address(&destination.transport).into(),
        retry: RetrySummary {
            attempts: destination.retry.attempts,
            age_seconds: destination.retry.age.as_secs_f64(),
            first_delay_seconds: destination.retry.first_delay.as_secs_f64(),
            longest_delay_seconds: destination.retry.longest_delay.as_secs_f64(),
        },
        seen: shared.recorder.destination(&destination.name, now),
    };
    let mut destinations: Vec<_> = config.destinations.iter().map(destination).collect();
    destinations.sort_by(|one, other| one.name.cmp(&other.name));
    Activity {
        since: shared.started_at,
        addresses: shared.webhooks.iter().map(|address| url_of(address, shared.tls.is_some())).collect(),
        endpoints: shared.acceptor.as_ref().map(|acceptor| acceptor.endpoints()).unwrap_or_default(),
        destinations,
        elsewhere: shared.recorder.elsewhere(),
    }
}

fn url_of(address: &ListenAddress, has_tls: bool) -> String {
    match address.url() {
        Some(url) if has_tls => url.replacen("http:", "https:", 1),
        Some(url) => url,
        None => address.to_string(),
    }
}
