//! What must hold between the keys of a configuration.

use super::declare::{Entry, Section};
use super::destination::{DestinationConfig, HttpTransport, NatsTransport, TransportConfig};
use super::endpoint::EndpointConfig;
use super::fault::{ConfigFault, Fault, Place};
use super::listen::ListenAddress;
use super::receiver::{Config, LedgerAddress};
use super::secret::SecretSource;
use crate::promise::Promise;
use crate::text::{nearest, quoted, show_bytes, show_duration};
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// Checks a configuration that a program made. [`parse`](super::parse) has checked what it returns.
///
/// # Errors
/// [`ConfigFault`]: everything that is wrong, each fault with the table of the file in which it would be.
pub fn check(config: &Config) -> Result<(), ConfigFault> {
    let mut entries = Vec::new();
    config.visit(Place::TOP, &mut entries);
    let of_keys = entries
        .into_iter()
        .filter_map(|Entry { place, key, fault, .. }| fault.map(|text| Fault { place, key: Some(key.name), text }));
    let faults: Vec<_> = of_keys.chain(rules(config)).map(|fault| fault.to_string()).collect();
    if faults.is_empty() { Ok(()) } else { Err(ConfigFault::new(faults)) }
}

/// Everything that is wrong between keys.
pub(super) fn rules(config: &Config) -> Vec<Fault> {
    let mut rules = Rules::default();
    let admin = quoted(&config.admin.to_string());
    if !config.admin.is_loopback() && config.admin_token.is_none() && config.operators.is_empty() {
        let text = format!("expected a loopback address without an `admin_token`, found {admin}; add a token");
        rules.fault(Place::TOP, "admin", text);
    }
    if config.role.accepts() && overlap(&config.admin, &config.listen) {
        let listen = quoted(&config.listen.to_string());
        let text = format!(
            "expected an address that does not overlap with `listen`, which is {listen}, found {admin}; choose another port"
        );
        rules.fault(Place::TOP, "admin", text);
    }
    if is_sqlite(&config.ledger) && config.promise != Promise::OneDisk {
        let text = "expected `one_disk` beside `sqlite:`, which is one file on one disk, found another; use a ledger on PostgreSQL";
        rules.fault(Place::TOP, "promise", text);
    }
    if config.spool.is_some() && is_sqlite(&config.ledger) {
        let text =
            "expected only beside a ledger on PostgreSQL, found one beside `sqlite:`; a ledger in a file is never away";
        rules.fault(Place::TOP, "spool", text);
    }
    if config.role.accepts() && config.endpoints.is_empty() {
        rules.fault(Place::TOP, "endpoint", "expected at least one, found none");
    }
    let (mut names, mut paths) = (HashMap::new(), HashMap::new());
    for (index, endpoint) in config.endpoints.iter().enumerate() {
        let place = Place::entry("[[endpoint]]", index);
        rules.unique(&mut names, &endpoint.name, place, "name");
        rules.unique(&mut paths, &endpoint.path, place, "path");
        rules.endpoint(endpoint, place);
        rules.memory(endpoint.body_limit, config.limits.body_memory, place);
    }
    let mut names = HashMap::new();
    for (index, operator) in config.operators.iter().enumerate() {
        rules.unique(&mut names, &operator.name, Place::entry("[[operator]]", index), "name");
    }
    if let Some(endpoint) = paths.get(config.health.as_deref().unwrap_or_default()) {
        let text = format!("expected a path that no endpoint has, found that of {endpoint}");
        rules.fault(Place::TOP, "health", text);
    }
    let mut names = HashMap::new();
    for (index, destination) in config.destinations.iter().enumerate() {
        let place = Place::entry("[[destination]]", index);
        rules.unique(&mut names, &destination.name, place, "name");
        rules.destination(destination, place, &config.endpoints);
    }
    rules.faults
}

fn is_sqlite(ledger: &LedgerAddress) -> bool {
    matches!(ledger, LedgerAddress::Sqlite(_))
}

/// Whether two listeners cannot have these addresses at once, as far as it is known without asking anybody.
fn overlap(one: &ListenAddress, other: &ListenAddress) -> bool {
    let others = other.known();
    one.known().into_iter().any(|one| others.iter().any(|&other| is_taken(one, other)))
}

fn is_taken(one: SocketAddr, other: SocketAddr) -> bool {
    let covers = |one: IpAddr, other: IpAddr| match one {
        IpAddr::V4(ip) => ip.is_unspecified() && other.is_ipv4(),
        // A socket for every IPv6 address takes IPv4 connections too.
        IpAddr::V6(ip) => ip.is_unspecified(),
    };
    let (ip, other_ip) = (one.ip().to_canonical(), other.ip().to_canonical());
    let is_same_port = one.port() == other.port() && one.port() != 0;
    is_same_port && (ip == other_ip || covers(ip, other_ip) || covers(other_ip, ip))
}

#[derive(Default)]
struct Rules {
    faults: Vec<Fault>,
}

impl Rules {
    fn endpoint(&mut self, endpoint: &EndpointConfig, place: Place) {
        match &endpoint.signature {
            Some(rule) if rule.secrets.is_empty() => {
                let example = "`[{ env = \"PYLON_WEBHOOK_SECRET\" }]`";
                self.fault(place, "secrets", format!("expected at least one, such as {example}, found none"));
            }
            None if endpoint.header.is_none() => {
                let text = "expected a `header` where no signature is required, found none; anybody could send events";
                self.fault(place, "signature", text);
            }
            _ => {}
        }
    }

    /// One body of the largest size has room.
    fn memory(&mut self, body_limit: usize, body_memory: usize, place: Place) {
        if body_limit >= body_memory {
            let (memory, found) = (show_bytes(body_memory), show_bytes(body_limit));
            let text =
                format!("expected less than `limits.body_memory`, which is {memory}, found {found}; raise that too");
            self.fault(place, "body_limit", text);
        }
    }

    fn destination(&mut self, destination: &DestinationConfig, place: Place, endpoints: &[EndpointConfig]) {
        let known = || endpoints.iter().map(|endpoint| &*endpoint.name);
        // A receiver that only delivers may leave the endpoints to others.
        let unknown = destination.endpoints.iter().filter(|name| known().all(|known| known != **name));
        for name in unknown.filter(|_| !endpoints.is_empty()) {
            let hint = nearest(name, known()).map(|near| format!("; did you mean {}?", quoted(near)));
            let text = format!("expected names of endpoints, found {}{}", quoted(name), hint.unwrap_or_default());
            self.fault(place, "endpoints", text);
        }
        match &destination.transport {
            TransportConfig::Http(http) => self.http(http, place),
            TransportConfig::Nats(nats) => self.nats(nats, place),
            TransportConfig::Command(_) | TransportConfig::JsonLines(_) | TransportConfig::InProcess => {}
        }
        let (retry, circuit) = (&destination.retry, &destination.circuit);
        let delays = [("first_delay", retry.first_delay), ("longest_delay", retry.longest_delay)];
        self.ordered(place.inner("[destination.retry]"), delays);
        let pauses = [("first_pause", circuit.first_pause), ("longest_pause", circuit.longest_pause)];
        self.ordered(place.inner("[destination.circuit]"), pauses);
    }

    fn http(&mut self, http: &HttpTransport, place: Place) {
        let of_tls = [("ca", http.ca.is_some()), ("client_certificate", http.client.is_some())];
        for (key, _) in of_tls.iter().filter(|(_, is_given)| *is_given && http.url.scheme_str() == Some("http")) {
            self.fault(place, key, "expected only beside an `https://` URL, found one beside `http://`");
        }
        if http.socket.is_some() && http.proxy.is_some() {
            self.fault(place, "proxy", "expected none beside `socket`, found one");
        }
    }

    fn nats(&mut self, nats: &NatsTransport, place: Place) {
        if cfg!(not(feature = "nats")) {
            let text = "expected a build with the feature `nats`, found one without; build with --features nats";
            self.fault(place, "nats", text);
        }
        if nats.token.is_some() && nats.credentials.is_some() {
            self.fault(place, "nats_token", "expected none beside `nats_credentials`, found one");
        }
        let is_plain = matches!(&nats.servers, SecretSource::Plain(text) if !text.contains("tls://"));
        let of_tls = [("ca", nats.ca.is_some()), ("client_certificate", nats.client.is_some())];
        for (key, _) in of_tls.iter().filter(|(_, is_given)| *is_given && is_plain) {
            self.fault(place, key, "expected only beside a `tls://` URL, found one beside `nats://`");
        }
    }

    fn unique<'c>(&mut self, seen: &mut HashMap<&'c str, Place>, text: &'c str, place: Place, key: &'static str) {
        match seen.get(text) {
            Some(first) => {
                self.fault(place, key, format!("expected a unique one, found {}, which {first} has", quoted(text)));
            }
            None => drop(seen.insert(text, place)),
        }
    }

    fn ordered(&mut self, place: Place, [(key, first), (most, longest)]: [(&'static str, Duration); 2]) {
        if first > longest {
            let (longest, found) = (show_duration(longest), show_duration(first));
            self.fault(place, key, format!("expected at most `{most}`, which is {longest}, found {found}"));
        }
    }

    fn fault(&mut self, place: Place, key: &'static str, text: impl Into<String>) {
        self.faults.push(Fault { place, key: Some(key), text: text.into() });
    }
}
