//! What a configuration would meet on this machine: everything that a start refuses or warns of.

use crate::accept::TlsKeys;
use crate::config::{
    CommandTransport, Config, ConfigFault, DestinationConfig, EndpointConfig, HttpTransport, JsonLinesTransport,
    LedgerAddress, SecretSource, TransportConfig, check,
};
use crate::deliver::{TransportFault, transport};
use crate::text::quoted;
use http::Uri;
use pylon_webhooks::{EventKind, NameSource, Secret};
use std::ffi::OsString;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
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
    /// Secrets, keys and certificates that are missing or malformed, one sentence each. Without `admin_token` and TLS files the
    /// receiver does not start. Without another secret, what needs the secret waits.
    pub missing: Vec<String>,
    /// What is probably a mistake, one sentence each.
    pub warnings: Vec<String>,
}

impl Preflight {
    /// Checks a configuration. Reads secrets and certificates, and changes nothing.
    pub fn of(config: &Config) -> Self {
        let mut preflight = Self::default();
        if let Err(fault) = check(config) {
            preflight.faults.extend(fault.faults().map(str::to_owned));
        }
        preflight.secrets(config);
        preflight.destinations(config);
        preflight.kinds(config);
        preflight
    }

    fn secrets(&mut self, config: &Config) {
        config.admin_token.iter().for_each(|source| self.secret("admin token", source));
        if let Some(tls) = &config.tls {
            self.missing.extend(TlsKeys::read(tls).err().map(|fault| fault.to_string()));
            self.readable_by_others("TLS", &tls.key);
        }
        for endpoint in &config.endpoints {
            let whose = format!("endpoint {}", endpoint.name);
            endpoint.needed_secrets().for_each(|source| self.secret(&whose, source));
        }
        for destination in &config.destinations {
            let whose = format!("destination {}", destination.name);
            let before = self.missing.len();
            destination.transport.needed_secrets().into_iter().for_each(|source| self.secret(&whose, source));
            // Whether a secret is malformed depends on its use.
            let is_there = self.missing.len() == before && destination.transport != TransportConfig::InProcess;
            if let (true, Err(TransportFault::Secret(fault))) = (is_there, transport(destination, None)) {
                self.missing.push(format!("{whose}: {fault}"));
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
            self.readable_by_others(whose, path);
        }
    }

    fn readable_by_others(&mut self, whose: &str, path: &Path) {
        const READ_BY_OTHERS: u32 = 0o004;
        if path.metadata().is_ok_and(|metadata| metadata.permissions().mode() & READ_BY_OTHERS != 0) {
            let path = path.display();
            self.warnings.push(format!("{whose}: every user of this machine can read {path}; run `chmod o-r {path}`"));
        }
    }

    fn destinations(&mut self, config: &Config) {
        if config.destinations.is_empty() {
            let text = "no destination: events are stored and delivered nowhere; add a `[[destination]]`, or `--forward` \
                        a URL";
            self.warnings.push(text.into());
        }
        let takes = |destination: &DestinationConfig, endpoint: &str| {
            destination.endpoints.is_empty() || destination.endpoints.iter().any(|name| name == endpoint)
        };
        for EndpointConfig { name, .. } in config.endpoints.iter().filter(|_| !config.destinations.is_empty()) {
            if !config.destinations.iter().any(|destination| takes(destination, name)) {
                self.warnings.push(format!(
                    "endpoint {name}: its events are stored and delivered nowhere; add it to the `endpoints` of a destination"
                ));
            }
        }
        for destination in &config.destinations {
            let whose = format!("destination {}", destination.name);
            match &destination.transport {
                TransportConfig::Http(HttpTransport { url, .. }) => {
                    for (key, own) in [("listen", config.listen), ("admin", config.admin)] {
                        if is_address(url, own) {
                            let text =
                                format!("`url` is the receiver's own `{key}` address; use the address of your app");
                            self.faults.push(format!("{whose}: {text}"));
                        }
                    }
                }
                TransportConfig::Command(CommandTransport { command, .. }) => {
                    if let Some(program) = command.first().filter(|program| !is_program(program)) {
                        self.warnings.push(format!("{whose}: the program {} cannot be found or run", quoted(program)));
                    }
                }
                TransportConfig::JsonLines(JsonLinesTransport { path, .. }) => {
                    if files_of(&config.ledger).iter().any(|file| is_same(file, path)) {
                        let text = "`jsonl` is a file of the ledger; choose another file";
                        self.faults.push(format!("{whose}: {text}"));
                    }
                }
                TransportConfig::InProcess => {}
            }
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

/// Completes a configuration with the destinations of the program's handlers, and checks it. Returns it with the warnings, which
/// the caller logs once the start has succeeded.
///
/// # Errors
/// [`ConfigFault`]: everything for which the configuration is refused.
pub(super) fn pass<'n>(
    mut config: Config,
    handlers: impl Iterator<Item = &'n Arc<str>>,
) -> Result<(Config, Vec<String>), ConfigFault> {
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
    for destination in in_process.filter(|destination| !handled.contains(&&destination.name)) {
        faults.push(format!("destination {}: expected handlers of the program, found none", destination.name));
    }
    let preflight = Preflight::of(&config);
    faults.extend(preflight.faults);
    if !faults.is_empty() {
        return Err(ConfigFault::new(faults));
    }
    Ok((config, preflight.warnings))
}

/// Whether a URL leads to an address of this machine.
fn is_address(url: &Uri, own: SocketAddr) -> bool {
    let port = url.port_u16().unwrap_or(if url.scheme_str() == Some("https") { 443 } else { 80 });
    let host = url.host().unwrap_or_default().trim_matches(['[', ']']);
    let (own_ip, is_localhost) = (own.ip().to_canonical(), host.eq_ignore_ascii_case("localhost"));
    let is_host = match host.parse::<IpAddr>().map(|ip| ip.to_canonical()) {
        Ok(ip) if own_ip.is_unspecified() => ip.is_loopback() || ip.is_unspecified(),
        // A connection to 0.0.0.0 goes to this machine.
        Ok(ip) => ip == own_ip || (ip.is_unspecified() && own_ip.is_loopback()),
        Err(_) => is_localhost && (own_ip.is_loopback() || own_ip.is_unspecified()),
    };
    own.port() == port && is_host
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

/// The files that SQLite and the receiver use for a ledger.
fn files_of(ledger: &LedgerAddress) -> Vec<PathBuf> {
    let LedgerAddress::Sqlite(path) = ledger;
    let file = |suffix| {
        let mut name = OsString::from(path);
        name.push(suffix);
        PathBuf::from(name)
    };
    ["", "-wal", "-shm", "-lock"].map(file).into()
}

/// Whether two paths lead to one file, which need not exist.
fn is_same(one: &Path, other: &Path) -> bool {
    let real = |path: &Path| {
        path.canonicalize().ok().or_else(|| {
            let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
            Some(folder.canonicalize().ok()?.join(path.file_name()?))
        })
    };
    one == other || real(one).is_some_and(|one| real(other) == Some(one))
}
