//! The ledger that an address names, opened.

use super::start_fault::StartFault;
use crate::config::{Config, LedgerAddress, SecretSource};
#[cfg(feature = "postgres")]
use crate::ledger::{Durability, PostgresLedger, PostgresOptions, SpoolOptions, SpooledLedger};
use crate::ledger::{Ledger, LedgerError, SqliteLedger, SqliteOptions};
use crate::metrics::Metrics;
#[cfg(feature = "postgres")]
use crate::postgres_address::PostgresAddress;
use crate::time::WallClock;
#[cfg(feature = "postgres")]
use std::path::Path;
use std::sync::Arc;

/// What a ledger is opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LedgerAccess {
    /// To look into it.
    Read,
    /// To change what is in it.
    Change,
}

/// Opens a ledger that is there, for a program that is no receiver. A SQLite ledger must have none to be changed.
///
/// The password is that of a PostgreSQL ledger; without one, that of its address counts.
///
/// # Errors
/// [`StartFault::Password`], [`StartFault::Ledger`].
pub async fn open_ledger(
    address: &LedgerAddress,
    password: Option<&SecretSource>,
    access: LedgerAccess,
) -> Result<Arc<dyn Ledger>, StartFault> {
    match (address, access) {
        (LedgerAddress::Sqlite(path), LedgerAccess::Read) => shared(SqliteLedger::open_read_only(path)),
        (LedgerAddress::Sqlite(path), LedgerAccess::Change) => {
            shared(SqliteLedger::open(path, SqliteOptions::default()))
        }
        #[cfg(feature = "postgres")]
        (LedgerAddress::Postgres(address), _) => {
            connect(address, password, PostgresOptions { makes_tables: false, ..PostgresOptions::default() }).await
        }
        #[cfg(not(feature = "postgres"))]
        (LedgerAddress::Postgres(_), _) => no_postgres(password),
    }
}

/// Opens the ledger of a receiver; makes it if it is not there.
pub(super) async fn open(
    config: &Config,
    metrics: &Arc<Metrics>,
    clock: &Arc<dyn WallClock>,
) -> Result<Arc<dyn Ledger>, StartFault> {
    match &config.ledger {
        LedgerAddress::Sqlite(path) => {
            let options = SqliteOptions {
                queue: config.limits.queue,
                refused: config.retention.refused,
                clock: clock.clone(),
                observer: Some(metrics.clone()),
                ..SqliteOptions::default()
            };
            shared(SqliteLedger::open(path, options))
        }
        #[cfg(feature = "postgres")]
        LedgerAddress::Postgres(address) => {
            let options = PostgresOptions {
                queue: config.limits.queue,
                refused: config.retention.refused,
                observer: Some(metrics.clone()),
                promise: Some(config.promise),
                ..PostgresOptions::default()
            };
            match &config.spool {
                None => connect(address, config.ledger_password.as_ref(), options).await,
                Some(spool) => spooled(spool, address, options, config, metrics, clock).await,
            }
        }
        #[cfg(not(feature = "postgres"))]
        LedgerAddress::Postgres(_) => no_postgres(config.ledger_password.as_ref()),
    }
}

fn shared(opened: Result<impl Ledger, LedgerError>) -> Result<Arc<dyn Ledger>, StartFault> {
    match opened {
        Ok(ledger) => Ok(Arc::new(ledger)),
        Err(error) => Err(StartFault::Ledger(error)),
    }
}

/// Why this program cannot use PostgreSQL; none: it can.
pub(super) fn postgres_fault() -> Option<String> {
    let text = "expected `sqlite:PATH`, found a PostgreSQL URL: this program was built without the feature `postgres`; use one that has it";
    cfg!(not(feature = "postgres")).then(|| text.to_owned())
}

#[cfg(feature = "postgres")]
async fn connect(
    address: &PostgresAddress,
    password: Option<&SecretSource>,
    options: PostgresOptions,
) -> Result<Arc<dyn Ledger>, StartFault> {
    let options = with_password(options, password)?;
    shared(PostgresLedger::connect(address, options).await)
}

/// Finds out whether the ledger of a receiver could be opened, and what an answer of 200 would mean; changes nothing.
#[cfg(feature = "postgres")]
pub(super) async fn examine(address: &PostgresAddress, config: &Config) -> Result<Durability, StartFault> {
    let options = PostgresOptions { promise: Some(config.promise), ..PostgresOptions::default() };
    let options = with_password(options, config.ledger_password.as_ref())?;
    PostgresLedger::examine(address, options).await.map_err(StartFault::Ledger)
}

/// The options with a way to read the password. Missing now, it is a fault of the configuration; missing later, of a connection.
#[cfg(feature = "postgres")]
fn with_password(options: PostgresOptions, password: Option<&SecretSource>) -> Result<PostgresOptions, StartFault> {
    let Some(source) = password.cloned() else { return Ok(options) };
    source.read().map_err(StartFault::Password)?;
    let read = move || source.read().map_err(|fault| fault.to_string().into());
    Ok(PostgresOptions { password: Some(Arc::new(read)), ..options })
}

/// A ledger behind a spool: the database may be away.
#[cfg(feature = "postgres")]
async fn spooled(
    spool: &Path,
    address: &PostgresAddress,
    options: PostgresOptions,
    config: &Config,
    metrics: &Arc<Metrics>,
    clock: &Arc<dyn WallClock>,
) -> Result<Arc<dyn Ledger>, StartFault> {
    let (options, address) = (with_password(options, config.ledger_password.as_ref())?, address.clone());
    let connect = move || {
        let (options, address) = (options.clone(), address.clone());
        async move {
            let ledger: Arc<dyn Ledger> = Arc::new(PostgresLedger::connect(&address, options).await?);
            Ok(ledger)
        }
    };
    let options = SpoolOptions {
        size: config.spool_size as u64,
        queue: config.limits.queue,
        clock: clock.clone(),
        observer: Some(metrics.clone()),
        ..SpoolOptions::default()
    };
    shared(SpooledLedger::start(spool, options, connect).await)
}

#[cfg(not(feature = "postgres"))]
fn no_postgres(_: Option<&SecretSource>) -> Result<Arc<dyn Ledger>, StartFault> {
    Err(StartFault::Ledger(LedgerError::Failed(postgres_fault().unwrap_or_default().into())))
}
