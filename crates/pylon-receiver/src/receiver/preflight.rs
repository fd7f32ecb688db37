//! What a configuration would meet on this machine: everything that a start refuses or warns of.

use super::client_certificates;
use super::inherited_addresses::InheritedAddresses;
#[cfg(feature = "postgres")]
use super::open::examine;
use super::open::postgres_fault;
#[cfg(feature = "postgres")]
use super::start_fault::StartFault;
use crate::accept::TlsKeys;
use crate::certificate::CertificateEnd;
use crate::config::{
    CommandTransport, Config, ConfigFault, DestinationConfig, EndpointConfig, HttpTransport, JsonLinesTransport,
    LedgerAddress, ListenAddress, NatsTransport, SecretSource, TransportConfig, check, is_localhost,
};
use crate::deliver::{examine_json_lines, transport};
use crate::file::{folder_of, is_same, open_to_others, resolved};
use crate::ledger::SqliteLedger;
#[cfg(feature = "postgres")]
use crate::ledger::{Durability, LedgerError};
use crate::text::{NATS_PORT, parse_nats, quoted};
use crate::time::{SystemWallClock, WallClock};
use http::Uri;
use pylon_webhooks::{EventKind, NameSource, Secret};
use std::ffi::OsString;
use std::net::IpAddr;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What a receiver would meet on this machine if it started with a configuration.
///
/// ```
/// use pylon_receiver::{Preflight, config::Config};
///
/// let preflight = Preflight::of(&Config::default());
/// assert_eq!(preflight.faults, ["`endpoint`: expected at least one, found none"]);
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Preflight {
    /// Why the configuration is refused, one sentence each.
    pub faults: Vec<String>,
    /// Secrets, keys and certificates that are missing or malformed, one sentence each. Without `admin_token`, `ledger_password` and
    /// TLS files the receiver does not start. Without another secret, what needs the secret waits.
    pub missing: Vec<String>,
    /// Why the ledger, or the spool, cannot be opened, or made; none: it can, as far as can be told without changing anything. The
    /// receiver does not start otherwise.
    pub ledger: Option<String>,
    /// What an answer of 200 would mean; none: nobody has connected to the ledger, or it is a file.
    pub durability: Option<String>,
    /// What is probably a mistake, one sentence each.
    pub warnings: Vec<String>,
}

impl Preflight {
    /// Checks a configuration. Reads secrets, certificates and the beginnings of files that would be written, and changes nothing.
    pub fn of(config: &Config) -> Self {
        let mut preflight = Self::beside_any_ledger(config);
        preflight.warnings.extend(left_alone(config));
        preflight
    }

    /// The same without what depends on the ledger being the configured one: a program may bring its own.
    fn beside_any_ledger(config: &Config) -> Self {
        let mut preflight = Self::default();
        if let Err(fault) = check(config) {
            preflight.faults.extend(fault.faults().map(str::to_owned));
        }
        preflight.ledger(config);
        preflight.spool(config);
        preflight.secrets(config);
        preflight.ending(&client_certificates::ends(config));
        preflight.sources(config);
        preflight.destinations(config);
        preflight.kinds(config);
        preflight.role(config);
        preflight
    }

    /// [`of`](Self::of), and connects to a ledger on PostgreSQL.
    pub async fn examine(config: &Config) -> Self {
        #[cfg_attr(not(feature = "postgres"), expect(unused_mut, reason = "there is no ledger to connect to"))]
        let mut preflight = Self::of(config);
        #[cfg(feature = "postgres")]
        if let LedgerAddress::Postgres(address) = &config.ledger {
            match examine(address, config).await {
                Ok(Durability { meaning, unkept, .. }) => {
                    preflight.durability = Some(meaning.into());
                    preflight.ledger = unkept.map(|unkept| LedgerError::Unconfirmed(unkept).to_string());
                }
                // Told with the other secrets.
                Err(StartFault::Password(_)) => {}
                Err(fault) => preflight.ledger = Some(fault.to_string()),
            }
        }
        preflight
    }

    fn ledger(&mut self, config: &Config) {
        match &config.ledger {
            LedgerAddress::Sqlite(path) => {
                self.ledger = SqliteLedger::examine(path).err().map(|error| error.to_string());
                self.open_files("ledger", path);
            }
            LedgerAddress::Postgres(address) => {
                self.faults.extend(postgres_fault().map(|fault| format!("`ledger`: {fault}")));
                for host in address.hosts.iter().filter(|host| !host.is_loopback() && !address.is_secured(host)) {
                    self.warnings.push(format!(
                        "ledger: events go to {host} without TLS: they can be read and changed on the way; use `sslmode=verify-full`"
                    ));
                }
            }
        }
    }

    fn spool(&mut self, config: &Config) {
        let Some(path) = &config.spool else { return };
        let fault = SqliteLedger::examine(path).err().map(|error| format!("spool: {error}"));
        self.ledger = self.ledger.take().or(fault);
        self.open_files("spool", path);
    }

    fn open_files(&mut self, whose: &str, path: &Path) {
        let [file, wal, shared_memory, ..] = files_of(path);
        // The folder is told of where there is something in it to lose.
        let folder = file.exists().then(|| folder_of(&file));
        [file, wal, shared_memory].iter().chain(&folder).for_each(|path| self.open_to_others(whose, path));
    }

    fn secrets(&mut self, config: &Config) {
        config.admin_token.iter().for_each(|source| self.secret("admin token", source));
        for operator in &config.operators {
            self.secret(&format!("token of the operator {}", operator.name), &operator.token);
        }
        config.ledger_password.iter().for_each(|source| self.secret("ledger password", source));
        if let Some(tls) = config.tls.as_ref().filter(|_| config.role.accepts()) {
            match TlsKeys::read(tls) {
                Ok(keys) => self.ending(keys.end().as_slice()),
                Err(fault) => self.missing.push(fault.to_string()),
            }
            self.open_to_others("TLS", &tls.key);
        }
        for endpoint in config.endpoints.iter().filter(|_| config.role.accepts()) {
            let whose = format!("endpoint {}", endpoint.name);
            endpoint.needed_secrets().for_each(|source| self.secret(&whose, source));
        }
        for destination in config.destinations.iter().filter(|_| config.role.delivers()) {
            let whose = format!("destination {}", destination.name);
            let before = self.missing.len();
            destination.transport.needed_secrets().into_iter().for_each(|source| self.secret(&whose, source));
            // Whether a secret, a certificate or a key is malformed depends on its use.
            let has_transport = match &destination.transport {
                TransportConfig::InProcess => false,
                // Without the feature, `check` has said so.
                TransportConfig::Nats(_) => cfg!(feature = "nats"),
                _ => true,
            };
            let is_there = self.missing.len() == before && has_transport;
            if let (true, Err(fault)) = (is_there, transport(destination, None)) {
                self.missing.push(format!("{whose}: {fault}"));
            }
            if let Some(client) = destination.transport.client_certificate() {
                self.open_to_others(&whose, &client.key);
            }
        }
    }

    fn secret(&mut self, whose: &str, source: &SecretSource) {
        match source.read().map(Secret::new) {
            Err(fault) => self.missing.push(format!("{whose}: {fault}")),
            Ok(Ok(secret)) if !matches!(source, SecretSource::Plain(_)) => {
                let from = match source {
                    SecretSource::Environment(_) | SecretSource::File(_) => format!("{source}: "),
                    SecretSource::Plain(_) | SecretSource::Given(_) => String::new(),
                };
                self.warnings.extend(secret.flaw().map(|flaw| format!("{whose}: {from}{flaw}")));
            }
            Ok(_) => {}
        }
        if let SecretSource::File(path) = source {
            self.open_to_others(whose, path);
        }
    }

    fn open_to_others(&mut self, whose: &str, path: &Path) {
        self.warnings.extend(open_to_others(path).map(|found| format!("{whose}: {found}")));
    }

    fn ending(&mut self, certificates: &[CertificateEnd]) {
        let now = SystemWallClock.now();
        self.warnings.extend(certificates.iter().filter_map(|certificate| certificate.warning(now)));
    }

    fn sources(&mut self, config: &Config) {
        let is_behind_proxy = config.role.accepts() && config.listen.is_loopback() && config.trusted_proxies.is_empty();
        for endpoint in config.endpoints.iter().filter(|endpoint| is_behind_proxy && !endpoint.sources.is_empty()) {
            self.warnings.push(format!(
                "endpoint {}: `sources` sees the address of the proxy only, because `listen` is a loopback address; name the proxy in `trusted_proxies`",
                endpoint.name
            ));
        }
    }

    fn destinations(&mut self, config: &Config) {
        if config.destinations.is_empty() && !config.role.delivers() {
            let text = "`destination`: expected at least one where `role` is `accept`, found none; give this receiver the \
                        destinations of those that deliver: it makes each event's deliveries when it stores the event";
            self.faults.push(text.into());
        } else if config.destinations.is_empty() {
            let text = "no destination: events are stored and delivered nowhere; add a `[[destination]]`, or `--forward` \
                        a URL";
            self.warnings.push(text.into());
        }
        let takes = |destination: &DestinationConfig, endpoint: &str| {
            destination.endpoints.is_empty() || destination.endpoints.iter().any(|name| name == endpoint)
        };
        let routed = config.role.accepts() && !config.destinations.is_empty();
        for EndpointConfig { name, .. } in config.endpoints.iter().filter(|_| routed) {
            if !config.destinations.iter().any(|destination| takes(destination, name)) {
                self.warnings.push(format!(
                    "endpoint {name}: its events are stored and delivered nowhere; add it to the `endpoints` of a destination"
                ));
            }
        }
        for destination in &config.destinations {
            let whose = format!("destination {}", destination.name);
            match &destination.transport {
                TransportConfig::Http(HttpTransport { socket: Some(path), .. }) => {
                    let accepts = config.role.accepts();
                    if accepts && matches!(&config.listen, ListenAddress::Unix(own) if is_same(own, path)) {
                        let text = "`socket` is the receiver's own `listen` address; use the address of your app";
                        self.faults.push(format!("{whose}: {text}"));
                    }
                    // The app may make the socket later.
                    if config.role.delivers() && path.metadata().is_ok_and(|file| !file.file_type().is_socket()) {
                        self.warnings.push(format!("{whose}: `socket` {} is no socket", path.display()));
                    }
                }
                TransportConfig::Http(HttpTransport { url, .. }) => {
                    let port = if url.scheme_str() == Some("https") { 443 } else { 80 };
                    for key in own_addresses(config, url, port) {
                        let text = format!("`url` is the receiver's own `{key}` address; use the address of your app");
                        self.faults.push(format!("{whose}: {text}"));
                    }
                }
                TransportConfig::Command(CommandTransport { command, .. }) if config.role.delivers() => {
                    if let Some(program) = command.first().filter(|program| !is_program(program)) {
                        self.warnings.push(format!("{whose}: the program {} cannot be found or run", quoted(program)));
                    }
                }
                TransportConfig::JsonLines(JsonLinesTransport { path, .. }) => {
                    self.json_lines(config, &whose, path);
                }
                TransportConfig::Nats(nats) => self.nats(config, &whose, nats),
                TransportConfig::Command(_) | TransportConfig::InProcess => {}
            }
        }
    }

    fn nats(&mut self, config: &Config, whose: &str, nats: &NatsTransport) {
        if let SecretSource::Plain(text) = &nats.servers {
            for server in parse_nats(text).unwrap_or_default() {
                for key in own_addresses(config, &server, NATS_PORT) {
                    let text =
                        format!("`nats` is the receiver's own `{key}` address; use the address of a NATS server");
                    self.faults.push(format!("{whose}: {text}"));
                }
            }
        }
        nats.credentials.iter().for_each(|path| self.open_to_others(whose, path));
    }

    fn json_lines(&mut self, config: &Config, whose: &str, path: &Path) {
        let ledger = match &config.ledger {
            LedgerAddress::Sqlite(ledger) => Some(ledger),
            LedgerAddress::Postgres(_) => None,
        };
        for (of, taken) in [("ledger", ledger), ("spool", config.spool.as_ref())] {
            if taken.is_some_and(|taken| files_of(taken).iter().any(|file| is_same(file, path))) {
                return self.faults.push(format!("{whose}: `jsonl` is a file of the {of}; choose another file"));
            }
        }
        if !config.role.delivers() {
            return;
        }
        if let Err(error) = examine_json_lines(path) {
            self.warnings.push(format!("{whose}: nothing can be written to {}: {error}", path.display()));
        }
        self.open_to_others(whose, path);
        let mut before = config.destinations.iter().take_while(|other| format!("destination {}", other.name) != whose);
        let also = before.find(|other| match &other.transport {
            TransportConfig::JsonLines(other) => is_same(&other.path, path),
            _ => false,
        });
        if let Some(also) = also {
            let text = format!("`jsonl` is the file of destination {} too: lines do not say whose they are", also.name);
            self.warnings.push(format!("{whose}: {text}"));
        }
    }

    fn role(&mut self, config: &Config) {
        if let (Some(path), false) = (&config.health, config.role.accepts()) {
            let path = quoted(path);
            self.warnings.push(format!(
                "`health`: nothing answers at {path} where `role` is `deliver`; have load balancers and probes ask /readyz at the admin address"
            ));
        }
    }

    fn kinds(&mut self, config: &Config) {
        let fixed = config.endpoints.iter().filter_map(|endpoint| match &endpoint.event_name {
            NameSource::Fixed(name) => Some((format!("endpoint {}: `event_name`", endpoint.name), &**name)),
            _ => None,
        });
        let filters = config.destinations.iter().flat_map(|destination| {
            let whose = format!("destination {}: `kinds`", destination.name);
            destination.kinds.iter().map(move |kind| (whose.clone(), kind.as_str()))
        });
        for (whose, kind) in fixed.chain(filters) {
            // Kinds of one's own are not mistakes.
            if let Some(meant) = EventKind::probably_meant(kind) {
                let (kind, meant) = (quoted(kind), quoted(meant.name()));
                self.warnings.push(format!("{whose}: {kind} is not a known kind; did you mean {meant}?"));
            }
        }
    }
}

/// Completes a configuration with the addresses of the service manager's sockets and with the destinations of the program's handlers,
/// and checks it. Returns it with the warnings, which the caller logs once the start has succeeded.
///
/// # Errors
/// [`ConfigFault`]: everything for which the configuration is refused.
pub(super) fn pass<'n>(
    config: Config,
    given: &InheritedAddresses,
    handlers: impl Iterator<Item = &'n Arc<str>>,
) -> Result<(Config, Vec<String>), ConfigFault> {
    let mut config = given.applied(config);
    let mut faults = Vec::new();
    let mut handled = Vec::new();
    for name in handlers {
        handled.push(name);
        match config.destinations.iter().find(|destination| destination.name == *name) {
            None => config.destinations.push(DestinationConfig::new(name.clone(), TransportConfig::InProcess)),
            Some(destination) if destination.transport == TransportConfig::InProcess => {}
            Some(_) => {
                faults.push(format!("destination {name}: expected no other transport beside handlers, found one"))
            }
        }
    }
    let in_process = config.destinations.iter().filter(|there| there.transport == TransportConfig::InProcess);
    for destination in
        in_process.filter(|_| config.role.delivers()).filter(|destination| !handled.contains(&&destination.name))
    {
        faults.push(format!("destination {}: expected handlers of the program, found none", destination.name));
    }
    if !config.role.accepts() && !given.listen.is_empty() {
        let count = given.listen.len();
        faults.push(format!(
            "`role` is `deliver`: expected no socket for webhooks from the service manager, found {count}; stop and disable the \
             socket unit, or let the receiver accept"
        ));
    }
    let preflight = Preflight::beside_any_ledger(&config);
    faults.extend(preflight.faults);
    for fault in given.further(&config).flat_map(|further| Preflight::beside_any_ledger(&further).faults) {
        if !faults.contains(&fault) {
            faults.push(fault);
        }
    }
    if !faults.is_empty() {
        return Err(ConfigFault::new(faults));
    }
    Ok((config, preflight.warnings))
}

/// Warns of a receiver that stores what nobody can deliver.
pub(super) fn left_alone(config: &Config) -> Option<String> {
    let LedgerAddress::Sqlite(path) = &config.ledger else { return None };
    (!config.role.delivers()).then(|| {
        format!(
            "nothing delivers what this receiver stores as long as it runs: `role` is `accept`, and one process at a time has the ledger \
             sqlite:{}; let this receiver deliver, or use a ledger that receivers share",
            path.display()
        )
    })
}

/// The keys of the receiver's own addresses that a URL leads to. A URL without a port has the default one.
fn own_addresses(config: &Config, url: &Uri, default_port: u16) -> impl Iterator<Item = &'static str> {
    let port = url.port_u16().unwrap_or(default_port);
    let own = [("listen", &config.listen), ("admin", &config.admin)];
    let listens = |key| key == "admin" || config.role.accepts();
    own.into_iter().filter(move |(key, own)| listens(*key) && is_own(url, port, own)).map(|(key, _)| key)
}

/// Whether a URL leads to where a listener listens, as far as it is known without asking anybody.
fn is_own(url: &Uri, port: u16, own: &ListenAddress) -> bool {
    let host = url.host().unwrap_or_default().trim_matches(['[', ']']);
    if let ListenAddress::Name(name, own_port) = own
        && name.eq_ignore_ascii_case(host)
    {
        return *own_port == port;
    }
    own.known().into_iter().any(|own| own.port() == port && is_address(host, own.ip().to_canonical()))
}

/// Whether a host is this address of this machine.
fn is_address(host: &str, own: IpAddr) -> bool {
    match host.parse::<IpAddr>().map(|ip| ip.to_canonical()) {
        Ok(ip) if own.is_unspecified() => ip.is_loopback() || ip.is_unspecified(),
        // A connection to 0.0.0.0 goes to this machine.
        Ok(ip) => ip == own || (ip.is_unspecified() && own.is_loopback()),
        Err(_) => is_localhost(host) && (own.is_loopback() || own.is_unspecified()),
    }
}

fn is_program(program: &str) -> bool {
    let is_executable = |path: &Path| {
        path.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
    };
    if program.contains('/') {
        return is_executable(Path::new(program));
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| is_executable(&folder.join(program)))
}

/// The files that SQLite and the receiver use, or take for their own, where a ledger or a spool is.
fn files_of(path: &Path) -> [PathBuf; 5] {
    let path = resolved(path).unwrap_or_else(|_| path.to_owned());
    ["", "-wal", "-shm", "-journal", "-lock"].map(|suffix| {
        let mut name = OsString::from(&path);
        name.push(suffix);
        PathBuf::from(name)
    })
}
