//! Moves everything of one ledger into another.

#[cfg(not(feature = "postgres"))]
use super::open::postgres_fault;
use crate::config::LedgerAddress;
use crate::file::is_same;
use crate::ledger::copy::{CopySource, CopyTarget, Copying, give_up};
use crate::ledger::sqlite::{open_to_copy_from, open_to_copy_into};
use crate::ledger::{CopyFault, CopyOutcome, CopyProgress, GivenUp, Ledger, LedgerError, SqliteOptions};
#[cfg(feature = "postgres")]
use crate::ledger::{PostgresLedger, PostgresOptions};
use std::sync::Arc;

/// Moves everything of one ledger into another: events, deliveries with their attempts and due times, deduplication keys, and refused
/// requests. No receiver may serve the ledger that is moved, which is a SQLite file. The other one may be a PostgreSQL database, which
/// receivers may serve meanwhile.
///
/// ```
/// use pylon_receiver::LedgerMove;
/// use pylon_receiver::config::LedgerAddress;
/// use pylon_receiver::ledger::{SqliteLedger, SqliteOptions};
///
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// # let (old, new) = (folder.path().join("old.db"), folder.path().join("new.db"));
/// # drop(SqliteLedger::open(&old, SqliteOptions::default())?);
/// let ledger_move = LedgerMove::new(LedgerAddress::Sqlite(old.clone()), LedgerAddress::Sqlite(new));
/// let outcome = ledger_move.run(|progress| println!("{} of {}", progress.done, progress.total)).await?;
/// println!("{} events", outcome.summary.counts.events);
///
/// let error = SqliteLedger::open(old, SqliteOptions::default()).unwrap_err();
/// assert_eq!(error.code(), "moved");
/// # Ok(())
/// # }
/// ```
///
/// Nothing is in use in the other ledger before everything is there, is verified, and the first one has written down that it was moved.
/// Until then the first one can be served again, and the move begins anew. A move that was broken off goes on when it is run again.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct LedgerMove {
    from: LedgerAddress,
    to: LedgerAddress,
    may_merge: bool,
}

impl LedgerMove {
    /// A move from one ledger into another, which is empty, or is made.
    pub fn new(from: LedgerAddress, to: LedgerAddress) -> Self {
        Self { from, to, may_merge: false }
    }

    /// The same into a ledger that may have events of its own. Deliveries that share a destination and an order key share a line from
    /// then on, in which those of the ledger itself go first.
    pub fn merging(mut self) -> Self {
        self.may_merge = true;
        self
    }

    /// Moves everything. `tell` hears how far it is.
    ///
    /// # Errors
    /// [`CopyFault`].
    pub async fn run(&self, mut tell: impl FnMut(CopyProgress) + Send) -> Result<CopyOutcome, CopyFault> {
        differ(&self.from, &self.to)?;
        let source = source(&self.from).await.map_err(CopyFault::Source)?;
        let target = target(&self.to, Missing::Made).await.map_err(CopyFault::Target)?;
        let copying = Copying { source: &*source.end, target: &*target.end, may_merge: self.may_merge };
        let copied = copying.run(&mut tell).await;
        let (source, target) = (source.ledger.close().await, target.ledger.close().await);
        let copied = copied?;
        source.map_err(CopyFault::Source)?;
        target.map_err(CopyFault::Target)?;
        Ok(copied)
    }

    /// Gives up a move that has not ended: takes what it has put into the other ledger out again, and lets the first one be served.
    ///
    /// Without the other ledger, a move that has ended is given up as well: for when the other ledger is lost. What that one has
    /// delivered is delivered again.
    ///
    /// # Errors
    /// [`CopyFault`].
    pub async fn give_up(
        from: &LedgerAddress,
        to: Option<&LedgerAddress>,
        mut tell: impl FnMut(CopyProgress) + Send,
    ) -> Result<GivenUp, CopyFault> {
        to.map_or(Ok(()), |to| differ(from, to))?;
        let source = source(from).await.map_err(CopyFault::Source)?;
        let target = match to {
            Some(to) => Some(target(to, Missing::Refused).await.map_err(CopyFault::Target)?),
            None => None,
        };
        let given_up = give_up(&*source.end, target.as_ref().map(|target| &*target.end), &mut tell).await;
        if let Some(target) = target {
            target.ledger.close().await.map_err(CopyFault::Target)?;
        }
        source.ledger.close().await.map_err(CopyFault::Source)?;
        given_up
    }
}

/// A ledger at one end of a move.
struct Opened<E: ?Sized> {
    end: Arc<E>,
    ledger: Arc<dyn Ledger>,
}

async fn source(address: &LedgerAddress) -> Result<Opened<dyn CopySource>, LedgerError> {
    match address {
        LedgerAddress::Sqlite(path) => {
            let ledger = Arc::new(open_to_copy_from(path, SqliteOptions::default())?);
            Ok(Opened { end: ledger.clone(), ledger })
        }
        LedgerAddress::Postgres(_) => Err(LedgerError::Failed(
            "expected a ledger in a file, `sqlite:PATH`, found a PostgreSQL URL, and this version moves none out of PostgreSQL; have new \
             webhooks sent to a receiver on the other ledger, and let one with `--no-accept` deliver what is left in this one"
                .into(),
        )),
    }
}

async fn target(address: &LedgerAddress, missing: Missing) -> Result<Opened<dyn CopyTarget>, LedgerError> {
    match address {
        LedgerAddress::Sqlite(path) if missing == Missing::Refused && !path.exists() => {
            Err(LedgerError::Failed(format!("there is no file {}", path.display()).into()))
        }
        LedgerAddress::Sqlite(path) => {
            let ledger = Arc::new(open_to_copy_into(path, SqliteOptions::default())?);
            Ok(Opened { end: ledger.clone(), ledger })
        }
        #[cfg(feature = "postgres")]
        LedgerAddress::Postgres(address) => {
            let options = PostgresOptions { makes_tables: missing == Missing::Made, ..PostgresOptions::default() };
            let ledger = Arc::new(PostgresLedger::connect(address, options).await?);
            Ok(Opened { end: ledger.clone(), ledger })
        }
        #[cfg(not(feature = "postgres"))]
        LedgerAddress::Postgres(_) => Err(LedgerError::Failed(postgres_fault().unwrap_or_default().into())),
    }
}

/// What happens where there is no ledger to copy into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Missing {
    /// It is made.
    Made,
    /// It is a wrong address: there should be something to take out.
    Refused,
}

/// Refuses two names of one file, which would be told as a ledger that another receiver has.
fn differ(from: &LedgerAddress, to: &LedgerAddress) -> Result<(), CopyFault> {
    let (LedgerAddress::Sqlite(from), LedgerAddress::Sqlite(to)) = (from, to) else { return Ok(()) };
    if is_same(from, to) { Err(CopyFault::SameLedger) } else { Ok(()) }
}
