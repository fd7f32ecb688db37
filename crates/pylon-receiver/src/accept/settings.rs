//! What a configuration says about endpoints, ready for work.

use super::endpoint::Endpoint;
use super::refusal::UNKNOWN_PATH;
use crate::config::{Config, Network};
use crate::headers::are_twins;
use crate::metrics::Metrics;
use http::HeaderName;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// The endpoints of a configuration, their secrets read.
pub(super) struct Settings {
    pub(super) by_path: HashMap<String, Endpoint>,
    pub(super) body_timeout: Duration,
    /// Whose `X-Forwarded-For` is believed.
    pub(super) trusted_proxies: Vec<Network>,
    required: Vec<HeaderName>,
}

/// A configuration with its secrets read that an [`Acceptor`](super::Acceptor) does not use yet.
pub struct Prepared(pub(super) Arc<Settings>);

impl Prepared {
    /// The missing secrets, a sentence each.
    pub fn unmet(&self) -> Vec<String> {
        self.0.unmet()
    }
}

impl fmt::Debug for Prepared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prepared").field("endpoints", &self.0.by_path).finish_non_exhaustive()
    }
}

impl Settings {
    pub(super) fn new(config: &Config) -> Self {
        let by_path: HashMap<_, _> =
            config.endpoints.iter().map(|endpoint| (endpoint.path.clone(), Endpoint::new(endpoint, config))).collect();
        let required = by_path.values().filter_map(Endpoint::required_header).cloned().collect();
        let trusted_proxies = config.trusted_proxies.clone();
        Self { by_path, required, body_timeout: config.limits.body_timeout, trusted_proxies }
    }

    /// The missing secrets, a sentence each.
    pub(super) fn unmet(&self) -> Vec<String> {
        self.endpoints().flat_map(Endpoint::unmet).collect()
    }

    /// The endpoints, by name.
    pub(super) fn endpoints(&self) -> impl Iterator<Item = &Endpoint> {
        let mut endpoints: Vec<_> = self.by_path.values().collect();
        endpoints.sort_by(|one, other| one.name.cmp(&other.name));
        endpoints.into_iter()
    }

    /// Shows all counters from now on, at zero, so that the first event and the first refusal are seen as a rise.
    pub(super) fn expect(&self, metrics: &Metrics) {
        metrics.expect_refusal(&"".into(), UNKNOWN_PATH);
        for endpoint in self.by_path.values() {
            metrics.expect_endpoint(&endpoint.name);
            endpoint.refusals().for_each(|code| metrics.expect_refusal(&endpoint.name, code));
        }
    }

    /// Logs which secrets are missing.
    pub(super) fn warn_of_missing_secrets(&self) {
        for unmet in self.unmet() {
            tracing::warn!("a secret is missing: {unmet}");
        }
    }

    /// Whether any endpoint requires this header, or one that some servers take for it: its value is a secret at the other
    /// endpoints too.
    pub(super) fn is_required(&self, header: &HeaderName) -> bool {
        self.required.iter().any(|required| required == header || are_twins(required, header))
    }
}
