//! What must hold between the parts of a configuration, whoever made it.

use super::address::url_fault;
use super::fault::{ConfigFault, Fault};
use super::nearest::nearest;
use super::place::Place;
use super::unit::{LONGEST, quoted, show_duration};
use super::{Config, Deduplication, DestinationConfig, EndpointConfig, SecretSource, TransportConfig};
use http::header::{CONNECTION, CONTENT_LENGTH, TE, TRAILER, TRANSFER_ENCODING, UPGRADE};
use http::uri::PathAndQuery;
use http::{HeaderName, HeaderValue};
use pylon_webhooks::{EventReader, NameSource, ReplayRule};
use std::collections::HashMap;
use std::time::Duration;

/// Checks a configuration that a program made, or arguments of a command; what [`parse`](super::parse) gives has been checked.
///
/// # Errors
/// [`ConfigFault`]: everything that is wrong, each with the table of the file in which it would stand.
pub fn check(config: &Config) -> Result<(), ConfigFault> {
    match faults(config) {
        faults if faults.is_empty() => Ok(()),
        faults => Err(ConfigFault::new(faults.iter().map(Fault::to_string).collect())),
    }
}

/// Everything that is wrong.
pub(super) fn faults(config: &Config) -> Vec<Fault> {
    let mut check = Check::default();
    check.top(config);
    check.endpoints(&config.endpoints);
    check.destinations(&config.destinations, &config.endpoints);
    check.faults
}

#[derive(Default)]
struct Check {
    faults: Vec<Fault>,
}

impl Check {
    fn top(&mut self, config: &Config) {
        if !config.admin.ip().to_canonical().is_loopback() && config.admin_token.is_none() {
            let found = quoted(&config.admin.to_string());
            let text =
                format!("expected a loopback address where there is no `admin_token`, found {found}; add a token");
            self.fault(Place::Top, "admin", text);
        }
        if config.admin == config.listen && config.admin.port() != 0 {
            let text = format!("expected another address than `listen`, found {}", quoted(&config.admin.to_string()));
            self.fault(Place::Top, "admin", text);
        }
        if let Some(text) = config.ledger.fault() {
            self.fault(Place::Top, "ledger", text);
        }
        if let Some(text) = config.traces.as_ref().and_then(url_fault) {
            self.fault(Place::Top, "traces", text);
        }
        if let Some(tls) = &config.tls {
            for (key, path) in [("certificate", &tls.certificate), ("key", &tls.key)] {
                if path.as_os_str().is_empty() {
                    self.fault(Place::Tls, key, "expected the path of a file, found an empty one");
                }
            }
        }
        let (limits, place) = (&config.limits, Place::Limits);
        self.at_least_one(place, "connections", limits.connections);
        self.positive(place, "header_timeout", limits.header_timeout);
        self.positive(place, "body_timeout", limits.body_timeout);
        self.at_least_one(place, "keep_alive_requests", limits.keep_alive_requests as usize);
        self.at_least_one(place, "queue", limits.queue);
        self.positive(place, "shutdown_timeout", limits.shutdown_timeout);
        self.bounded(Place::Retention, "delivered", config.retention.delivered.unwrap_or_default());
    }

    fn endpoints(&mut self, endpoints: &[EndpointConfig]) {
        if endpoints.is_empty() {
            self.fault(Place::Top, "endpoint", "expected at least one, found none");
        }
        let mut seen = (HashMap::new(), HashMap::new());
        for (index, endpoint) in endpoints.iter().enumerate() {
            let place = Place::Endpoint(index);
            self.name(place, &endpoint.name);
            self.unique(&mut seen.0, &endpoint.name, place, "name");
            if let Some(text) = path_fault(&endpoint.path) {
                self.fault(place, "path", text);
            }
            self.unique(&mut seen.1, &endpoint.path, place, "path");
            self.endpoint(place, endpoint);
        }
    }

    fn endpoint(&mut self, place: Place, endpoint: &EndpointConfig) {
        match (&endpoint.authentication.signature, &endpoint.authentication.header) {
            (None, None) => {
                let text = "expected a `header` where no signature is required, found none; anybody could send events";
                self.fault(place, "signature", text);
            }
            (Some(rule), _) => {
                if rule.secrets.is_empty() {
                    let text = "expected at least one, such as `[{ env = \"PYLON_WEBHOOK_SECRET\" }]`, found none";
                    self.fault(place, "secrets", text);
                }
                self.bounded(place, "tolerance", rule.tolerance);
            }
            (None, Some(_)) => {}
        }
        self.at_least_one(place, "body_limit", endpoint.body_limit);
        self.rate(place, endpoint.rate);
        if EventReader::builder().name_source(endpoint.kind.clone()).build().is_err() {
            match &endpoint.kind {
                NameSource::Pointer(pointer) => self.pointer(place, "kind_pointer", pointer),
                _ => self.fault(place, "kind", "expected the name of a kind, found a blank one"),
            }
        }
        match &endpoint.deduplication {
            Deduplication::Off | Deduplication::ExactRequest => {}
            Deduplication::Rule(ReplayRule::Pointer { pointer, window }) => {
                self.pointer(place, "deduplication", pointer);
                if let Some(window) = *window {
                    self.positive(place, "deduplication", window);
                }
            }
            Deduplication::Rule(ReplayRule::BodyHash { window }) => self.positive(place, "deduplication", *window),
            Deduplication::Rule(_) => {
                self.fault(place, "deduplication", "expected `exact` for exact requests, found it as a rule");
            }
        }
    }

    fn destinations(&mut self, destinations: &[DestinationConfig], endpoints: &[EndpointConfig]) {
        let mut names = HashMap::new();
        for (index, destination) in destinations.iter().enumerate() {
            let place = Place::Destination(index);
            self.name(place, &destination.name);
            self.unique(&mut names, &destination.name, place, "name");
            for name in &destination.endpoints {
                let known = || endpoints.iter().map(|endpoint| &*endpoint.name);
                if !known().any(|known| known == name) {
                    let hint = nearest(name, known()).map(|near| format!("; did you mean {}?", quoted(near)));
                    let text = format!("expected names of endpoints, found {}", quoted(name));
                    self.fault(place, "endpoints", text + &hint.unwrap_or_default());
                }
            }
            self.destination(place, destination);
            let (retry, at) = (&destination.retry, Place::Retry(index));
            self.at_least_one(at, "attempts", retry.attempts as usize);
            self.positive(at, "age", retry.age);
            self.ordered(at, ["first_delay", "longest_delay"], [retry.first_delay, retry.longest_delay]);
            let (circuit, at) = (&destination.circuit, Place::Circuit(index));
            self.at_least_one(at, "failures", circuit.failures as usize);
            self.ordered(at, ["first_pause", "longest_pause"], [circuit.first_pause, circuit.longest_pause]);
        }
    }

    fn destination(&mut self, place: Place, destination: &DestinationConfig) {
        self.positive(place, "timeout", destination.timeout);
        self.at_least_one(place, "concurrency", destination.concurrency);
        self.rate(place, destination.rate);
        if destination.kinds.iter().any(|kind| kind.trim().is_empty()) {
            self.fault(place, "kinds", "expected names of kinds, found a blank one");
        }
        if destination.order_by.as_ref().is_some_and(|key| key.trim().is_empty()) {
            self.fault(place, "order_by", "expected a field's name, a key or a JSON pointer, found a blank text");
        }
        match &destination.transport {
            TransportConfig::Http { url, headers, signing: _ } => {
                if let Some(text) = url_fault(url) {
                    self.fault(place, "url", text);
                }
                self.headers(place, headers);
            }
            TransportConfig::Command { command, environment } => {
                if command.first().is_none_or(String::is_empty) {
                    self.fault(place, "command", "expected a program and its arguments, found none");
                }
                if command.iter().any(|part| part.contains('\0')) {
                    self.fault(place, "command", "expected texts without a zero byte, found one");
                }
                if environment.iter().any(|name| name.is_empty() || name.contains(['=', '\0'])) {
                    self.fault(place, "environment", "expected names of environment variables, found another text");
                }
            }
            TransportConfig::JsonLines { path } if path.as_os_str().is_empty() => {
                self.fault(place, "jsonl", "expected the path of a file, found an empty one");
            }
            TransportConfig::JsonLines { .. } | TransportConfig::Handlers(_) => {}
        }
    }

    fn headers(&mut self, place: Place, headers: &[(HeaderName, SecretSource)]) {
        /// These are for the connection to say.
        const OF_THE_CONNECTION: [HeaderName; 6] =
            [CONNECTION, CONTENT_LENGTH, TE, TRAILER, TRANSFER_ENCODING, UPGRADE];
        for (index, (name, value)) in headers.iter().enumerate() {
            let shown = quoted(name.as_str());
            if OF_THE_CONNECTION.contains(name) {
                self.fault(place, "headers", format!("expected none that HTTP itself sets, found {shown}"));
            }
            if headers[..index].iter().any(|(earlier, _)| earlier == name) {
                self.fault(place, "headers", format!("expected each name once, found {shown} again"));
            }
            let fault = match value {
                SecretSource::Plain(text) if text.is_empty() => "an empty one",
                SecretSource::Plain(text) if HeaderValue::from_str(text).is_err() => "others",
                _ => continue,
            };
            self.fault(place, "headers", format!("expected a value of visible characters for {shown}, found {fault}"));
        }
    }

    fn name(&mut self, place: Place, name: &str) {
        if name.trim().is_empty() {
            self.fault(place, "name", "expected a name, found a blank one");
        } else if name.chars().any(char::is_control) {
            self.fault(place, "name", format!("expected a name without control characters, found {}", quoted(name)));
        }
    }

    fn unique<'c>(&mut self, seen: &mut HashMap<&'c str, Place>, text: &'c str, place: Place, key: &'static str) {
        match seen.get(text) {
            Some(first) => {
                let text = format!("expected one of its own, found {}, which is that of {first}", quoted(text));
                self.fault(place, key, text);
            }
            None => drop(seen.insert(text, place)),
        }
    }

    fn at_least_one(&mut self, place: Place, key: &'static str, number: usize) {
        if number == 0 {
            self.fault(place, key, "expected at least 1, found 0");
        }
    }

    fn rate(&mut self, place: Place, rate: Option<f64>) {
        if let Some(rate) = rate
            && !(rate.is_finite() && rate > 0.0)
        {
            let text = format!(
                "expected more than 0 a second and not infinitely many, found {rate}; leave it out for no limit"
            );
            self.fault(place, "rate", text);
        }
    }

    fn pointer(&mut self, place: Place, key: &'static str, pointer: &str) {
        if !pointer.starts_with('/') {
            let text = format!("expected a JSON pointer such as `/data/id`, found {}", quoted(pointer));
            self.fault(place, key, text);
        }
    }

    fn positive(&mut self, place: Place, key: &'static str, duration: Duration) {
        if duration.is_zero() {
            self.fault(place, key, "expected a duration of more than nothing, found `0s`");
        }
        self.bounded(place, key, duration);
    }

    fn bounded(&mut self, place: Place, key: &'static str, duration: Duration) {
        if duration > LONGEST {
            let (most, found) = (show_duration(LONGEST), show_duration(duration));
            self.fault(place, key, format!("expected a duration of at most {most}, found {}", quoted(&found)));
        }
    }

    fn ordered(&mut self, place: Place, keys: [&'static str; 2], durations: [Duration; 2]) {
        let [first, longest] = durations;
        self.positive(place, keys[0], first);
        self.bounded(place, keys[1], longest);
        if first > longest {
            let (most, found) = (show_duration(longest), show_duration(first));
            let text = format!("expected at most `{}`, which is {most}, found {found}", keys[1]);
            self.fault(place, keys[0], text);
        }
    }

    fn fault(&mut self, place: Place, key: &'static str, text: impl Into<String>) {
        self.faults.push(Fault { place, key: Some(key), text: text.into() });
    }
}

/// Why no request can have this path.
fn path_fault(path: &str) -> Option<String> {
    let found = || quoted(path);
    if !path.starts_with('/') {
        return Some(format!("expected a path that begins with `/`, found {}", found()));
    }
    if path.contains(['?', '#']) {
        return Some(format!("expected a path without a query or a fragment, found {}", found()));
    }
    let is_path = path.is_ascii() && path.parse::<PathAndQuery>().is_ok_and(|parsed| parsed.as_str() == path);
    (!is_path).then(|| format!("expected a path as it stands in a URL, with %20 for a space, found {}", found()))
}
