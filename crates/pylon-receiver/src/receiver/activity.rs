//! What the receiver has seen, for operators.

use crate::accept::Acceptor;
use crate::activity::Recorder;
use crate::config::{Config, DestinationConfig, ListenAddress};
use crate::deliver::address;
use crate::time::Moment;
use crate::wire::{Activity, DestinationActivity, RetrySummary};

/// Where it is known.
pub(super) struct Sources<'s> {
    pub(super) config: &'s Config,
    /// None: the receiver accepts no webhooks.
    pub(super) acceptor: Option<&'s Acceptor>,
    pub(super) recorder: &'s Recorder,
    pub(super) webhooks: &'s [ListenAddress],
    pub(super) has_tls: bool,
    pub(super) since: Moment,
    pub(super) now: Moment,
}

/// What the receiver has seen since its start.
pub(super) fn activity(sources: Sources<'_>) -> Activity {
    let Sources { config, acceptor, recorder, webhooks, has_tls, since, now } = sources;
    let destination = |destination: &DestinationConfig| DestinationActivity {
        name: destination.name.to_string(),
        address: address(&destination.transport).into(),
        retry: RetrySummary {
            attempts: destination.retry.attempts,
            age_seconds: destination.retry.age.as_secs_f64(),
            first_delay_seconds: destination.retry.first_delay.as_secs_f64(),
            longest_delay_seconds: destination.retry.longest_delay.as_secs_f64(),
        },
        seen: recorder.destination(&destination.name, now),
    };
    let mut destinations: Vec<_> = config.destinations.iter().map(destination).collect();
    destinations.sort_by(|one, other| one.name.cmp(&other.name));
    Activity {
        since,
        addresses: webhooks.iter().map(|address| url_of(address, has_tls)).collect(),
        endpoints: acceptor.map(Acceptor::endpoints).unwrap_or_default(),
        destinations,
        elsewhere: recorder.elsewhere(),
    }
}

fn url_of(address: &ListenAddress, has_tls: bool) -> String {
    match address.url() {
        Some(url) if has_tls => url.replacen("http:", "https:", 1),
        Some(url) => url,
        None => address.to_string(),
    }
}
