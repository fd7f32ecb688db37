//! How many connections the process's file descriptors allow.

use crate::config::{Config, DestinationConfig, TransportConfig};
use rustix::process::{Resource, getrlimit};

/// Maximum number of connections of operators.
const ADMIN: usize = 64;
/// The files of the ledger: those of six connections to the database, and its lock.
const LEDGER: usize = 24;
/// What else a running receiver opens, such as sockets that ask for a name.
const OTHERS: usize = 16;

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
    /// What the present limit of the process allows. Ledger, operators and deliveries come first: senders that take every descriptor
    /// would keep the receiver from storing what they send.
    pub(super) fn allowed(config: &Config) -> Self {
        let limit = getrlimit(Resource::Nofile).current.and_then(|limit| usize::try_from(limit).ok());
        // Where this cannot be read, the few that programs begin with.
        let open = std::fs::read_dir("/dev/fd").map_or(16, Iterator::count);
        Self::within(limit.unwrap_or(usize::MAX), open, config)
    }

    fn within(limit: usize, open: usize, config: &Config) -> Self {
        let admin = (limit / 8).clamp(1, ADMIN);
        let deliveries: usize = config.destinations.iter().map(of_deliveries).sum();
        let reserved = open + LEDGER + OTHERS + admin + deliveries;
        let configured = config.limits.connections;
        let webhooks = configured.min(limit.saturating_sub(reserved)).max(1);
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

/// What the attempts to one destination have open at a time.
fn of_deliveries(destination: &DestinationConfig) -> usize {
    match &destination.transport {
        TransportConfig::Http(_) => destination.concurrency + 2,
        // Both pipes and the process itself; for a moment both ends of the pipes.
        TransportConfig::Command(_) => destination.concurrency * 3 + 3,
        TransportConfig::JsonLines(_) => 2,
        // The program knows.
        TransportConfig::InProcess => 0,
    }
}
