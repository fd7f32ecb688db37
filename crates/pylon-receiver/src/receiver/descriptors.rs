//! How many connections the process's file descriptors allow.

use crate::config::{Config, DestinationConfig, TransportConfig};
use rustix::process::{Resource, getrlimit};

/// Maximum number of connections of operators.
const ADMIN: usize = 64;
/// The files of the ledger: those of seven connections to the database, and its lock.
const LEDGER: usize = 27;
/// What else a running receiver opens, such as sockets that ask for a name.
const OTHERS: usize = 16;

/// What opens after the start has counted: event loops, signals, inherited sockets.
const LATER: usize = 32;
/// Senders have this many connections even where deliveries might need more.
const FEWEST: usize = 16;

/// How many file descriptors a receiver of this configuration uses at most, with what the process has open already.
/// Each connection is one. Where the process may have fewer, the receiver lowers `limits.connections` and says so.
///
/// ```
/// use pylon_receiver::{config::Config, descriptors};
///
/// let config = Config::default();
/// assert!(descriptors(&config) > config.limits.connections);
/// ```
pub fn descriptors(config: &Config) -> usize {
    open() + LEDGER + OTHERS + LATER + ADMIN + of_all_deliveries(config) + of_senders(config)
}

/// How many connections there may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Connections {
    /// Of senders.
    pub(super) webhooks: usize,
    /// Of operators.
    pub(super) admin: usize,
    /// What was lowered, in a sentence.
    pub(super) warning: Option<String>,
}

impl Connections {
    /// What the present limit of the process allows. Ledger and operators come first: senders that take every descriptor would keep the
    /// receiver from storing what they send. Of what is left, deliveries have half at most where senders need the other half: attempts
    /// can wait, webhooks cannot.
    pub(super) fn allowed(config: &Config) -> Self {
        let limit = getrlimit(Resource::Nofile).current.and_then(|limit| usize::try_from(limit).ok());
        Self::within(limit.unwrap_or(usize::MAX), open(), config)
    }

    fn within(limit: usize, open: usize, config: &Config) -> Self {
        let admin = (limit / 8).clamp(1, ADMIN);
        let configured = of_senders(config);
        let left = limit.saturating_sub(open + LEDGER + OTHERS + admin);
        let deliveries = of_all_deliveries(config).min((left / 2).max(left.saturating_sub(configured)));
        let webhooks = configured.min((left - deliveries).max(FEWEST.min(left)).max(1));
        let reserved = open + LEDGER + OTHERS + admin + deliveries;
        let warning = (webhooks < configured).then(|| {
            format!(
                "`limits.connections` is lowered from {configured} to {webhooks}: the process may have {limit} files open, and \
                 {reserved} are kept for the ledger, operators and deliveries; raise the limit (`ulimit -n`, `LimitNOFILE=`) or \
                 lower `limits.connections`"
            )
        });
        Self { webhooks, admin, warning }
    }
}

/// How many files are open. Where this cannot be read, the few that programs begin with.
fn open() -> usize {
    std::fs::read_dir("/dev/fd").map_or(16, Iterator::count)
}

/// None where the receiver accepts nothing.
fn of_senders(config: &Config) -> usize {
    if config.role.accepts() { config.limits.connections } else { 0 }
}

fn of_all_deliveries(config: &Config) -> usize {
    let delivering = config.destinations.iter().filter(|_| config.role.delivers());
    delivering.map(of_deliveries).sum()
}

/// What the attempts to one destination have open at a time.
fn of_deliveries(destination: &DestinationConfig) -> usize {
    match &destination.transport {
        TransportConfig::Http(_) => destination.concurrency + 2,
        // Both pipes and the process itself; for a moment both ends of the pipes.
        TransportConfig::Command(_) => destination.concurrency * 3 + 3,
        TransportConfig::JsonLines(_) => 2,
        // One that ends, one that opens, and the system's certificates while it does.
        TransportConfig::Nats(_) => 3,
        // The program knows.
        TransportConfig::InProcess => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::HttpTransport;

    #[test]
    fn deliveries_leave_senders_half_of_what_is_left() {
        // The limit, connections, attempts at a time; the connections that there may be.
        for (limit, configured, concurrency, webhooks) in [
            (65_536, 1024, 4096, 1024),
            (65_536, 60_000, 4, 60_000),
            // 1024 - 10 - 27 - 16 - 64: 907 are left.
            (1024, 1024, 10, 895),
            (1024, 1024, 4096, 454),
            (1024, 300, 4096, 300),
            // 200 - 10 - 27 - 16 - 25: 122 are left.
            (200, 1024, 20, 100),
            (200, 1024, 1000, 61),
            // 80 - 10 - 27 - 16 - 10: 17 are left.
            (80, 1024, 1000, 16),
            (80, 4, 1000, 4),
            // 64 - 10 - 27 - 16 - 8: 3 are left.
            (64, 1024, 1000, 3),
            (40, 1024, 1000, 1),
            (0, 1024, 1000, 1),
            (usize::MAX, 1024, 1000, 1024),
        ] {
            let url = "http://127.0.0.1:1/".parse().unwrap();
            let mut app = DestinationConfig::new("app", TransportConfig::Http(HttpTransport::new(url)));
            app.concurrency = concurrency;
            let mut config = Config::default().destinations(vec![app]);
            config.limits.connections = configured;
            let allowed = Connections::within(limit, 10, &config);
            assert_eq!(allowed.webhooks, webhooks, "{limit} {configured} {concurrency}");
            assert_eq!(allowed.warning.is_some(), webhooks < configured, "{limit} {configured} {concurrency}");
        }
    }
}
