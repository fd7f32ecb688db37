//! Connections: made within a time-out, with their settings, kept in pools.

use super::error::Fault;
use super::options::PostgresOptions;
use crate::postgres_address::{PostgresAddress, PostgresHost};
use deadpool_postgres::{Connect, Manager, ManagerConfig, Object, Pool, RecyclingMethod, Runtime};
use std::pin::Pin;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio_postgres::{Client, Config, Error, NoTls};

/// A connection of a pool, with its prepared statements.
pub(super) type Connection = Object;

/// How long to wait for a connection.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);

/// What a connection is for, which decides its settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    /// Records events.
    Write,
    /// Settles and claims: its commits wait for the server's own disk only.
    Deliver,
    /// Reads, and carries out orders of operators.
    Read,
    /// Cleans up.
    Chores,
}

impl Use {
    fn settings(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Write => &[("enable_seqscan", "off")],
            Self::Deliver => &[("enable_seqscan", "off"), ("synchronous_commit", "local")],
            Self::Read => &[("enable_seqscan", "off"), ("statement_timeout", "30000")],
            // What it adds up can be added up again.
            Self::Chores => &[("synchronous_commit", "off")],
        }
    }
}

struct Connector {
    settings: String,
    runtime: Handle,
}

impl Connect for Connector {
    fn connect(
        &self,
        config: &Config,
    ) -> Pin<Box<dyn Future<Output = Result<(Client, JoinHandle<()>), Error>> + Send + '_>> {
        let config = config.clone();
        Box::pin(async move {
            let (client, connection) = config.connect(NoTls).await?;
            let task = self.runtime.spawn(async move {
                if let Err(error) = connection.await {
                    tracing::debug!(%error, "a connection to the database ended");
                }
            });
            client.batch_execute(&self.settings).await?;
            Ok((client, task))
        })
    }
}

/// Makes a pool of connections for a use.
pub(super) fn pool(
    address: &PostgresAddress,
    options: &PostgresOptions,
    used_for: Use,
    size: usize,
    runtime: &Handle,
) -> Result<Pool, Fault> {
    let config = config_of(address, options)?;
    let mut settings = format!("SET search_path = \"{}\"; SET plan_cache_mode = force_custom_plan;", address.schema);
    for (name, value) in used_for.settings() {
        settings.push_str(&format!("SET {name} = {value};"));
    }
    let connector = Connector { settings, runtime: runtime.clone() };
    let manager = Manager::from_connect(config, connector, ManagerConfig { recycling_method: RecyclingMethod::Fast });
    Pool::builder(manager)
        .max_size(size)
        .runtime(Runtime::Tokio1)
        .wait_timeout(Some(CONNECT_WITHIN))
        .create_timeout(Some(CONNECT_WITHIN))
        .build()
        .map_err(|error| Fault::Other(error.to_string().into()))
}

fn config_of(address: &PostgresAddress, options: &PostgresOptions) -> Result<Config, Fault> {
    let mut config = Config::new();
    for host in &address.hosts {
        match host {
            PostgresHost::Tcp { name, port } => config.host(name).port(*port),
            PostgresHost::Socket { folder, port } => config.host_path(folder).port(*port),
        };
    }
    config.user(&address.user).dbname(&address.database).application_name(&address.application_name);
    let password = options.password.as_ref().map(|read| read()).transpose().map_err(Fault::Away)?;
    if let Some(password) = password.as_deref().map(Vec::as_slice).or(address.password().map(str::as_bytes)) {
        config.password(password);
    }
    Ok(config)
}
