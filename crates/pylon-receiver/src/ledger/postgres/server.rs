//! What is at the other end: which database, of which version, whether it may be written to, which cluster on which timeline.

use super::error::Fault;
use std::fmt;
use tokio_postgres::{Client, SimpleQueryMessage};

/// The oldest version that has all that is used here.
const OLDEST: i32 = 130_000;
/// The class of errors of a server that has no room, such as for more connections.
const INSUFFICIENT_RESOURCES: &str = "53";

/// A server that may be written to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Server {
    /// The version, such as 150018.
    pub(super) version: i32,
    /// The cluster that it belongs to, with all its standbys; none: the server does not tell.
    pub(super) cluster: Option<Cluster>,
}

/// A cluster at a moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cluster {
    /// Its number, which no other cluster has.
    pub(super) identifier: String,
    /// Its timeline, which changes when a standby takes over.
    pub(super) timeline: u32,
}

/// Why a server is not used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Unfit {
    /// Not now, or another one of the hosts.
    Now(String),
    /// Not now: it has no room for more connections.
    NoRoom(String),
    /// Never.
    Ever(String),
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Now(said) | Self::NoRoom(said) | Self::Ever(said)) = self;
        f.write_str(said)
    }
}

impl From<Fault> for Unfit {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Wrong(said) => Self::Ever(said.into()),
            other => Self::Now(other.to_string()),
        }
    }
}

impl From<tokio_postgres::Error> for Unfit {
    fn from(error: tokio_postgres::Error) -> Self {
        let has_no_room = error.code().is_some_and(|code| code.code().starts_with(INSUFFICIENT_RESOURCES));
        let fault = Fault::from(error);
        if has_no_room { Self::NoRoom(fault.to_string()) } else { fault.into() }
    }
}

/// Finds out what a server is.
///
/// # Errors
/// It is no PostgreSQL, is too old, or may only be read.
pub(super) async fn examine(client: &Client) -> Result<Server, Unfit> {
    let version = first(client, "SELECT version()").await?.into_iter().next().flatten().unwrap_or_default();
    if let Some(found) = stranger(&version) {
        let expected = "expected PostgreSQL itself, whose locks and messages a ledger needs";
        return Err(Unfit::Ever(format!("{expected}, found {found}")));
    }
    let sql =
        "SELECT current_setting('server_version_num'), pg_is_in_recovery(), current_setting('transaction_read_only')";
    let [number, is_standby, is_read_only] = &first(client, sql).await?[..] else {
        return Err(Unfit::Now("expected three columns, found others".to_owned()));
    };
    let number = number.as_deref().and_then(|number| number.parse().ok()).unwrap_or(0);
    if number < OLDEST {
        return Err(Unfit::Ever(format!(
            "expected PostgreSQL {} or later, found {}",
            OLDEST / 10_000,
            number / 10_000
        )));
    }
    if is_standby.as_deref() == Some("t") {
        return Err(Unfit::Now("a standby, which may only be read".to_owned()));
    }
    if is_read_only.as_deref() == Some("on") {
        return Err(Unfit::Now("a server that may only be read (default_transaction_read_only is on)".to_owned()));
    }
    // Not everywhere may a role ask this, and nothing depends on it.
    let sql = "SELECT system_identifier, substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) FROM pg_control_system()";
    let cluster = match first(client, sql).await.as_deref() {
        Ok([Some(identifier), Some(timeline)]) => {
            u32::from_str_radix(timeline, 16).ok().map(|timeline| Cluster { identifier: identifier.clone(), timeline })
        }
        _ => None,
    };
    Ok(Server { version: number, cluster })
}

/// Another database that speaks PostgreSQL's protocol, by what it says of itself.
fn stranger(version: &str) -> Option<&str> {
    const RELATIVES: [&str; 6] = ["CockroachDB", "YugabyteDB", "Redshift", "Greenplum", "Materialize", "CrateDB"];
    let relative = RELATIVES.into_iter().find(|name| version.contains(name));
    match version.strip_prefix("PostgreSQL ") {
        Some(rest) => relative.or(rest.contains("-YB-").then_some("YugabyteDB")),
        None => relative.or(Some("another database")),
    }
}

/// The columns of the first row.
async fn first(client: &Client, sql: &str) -> Result<Vec<Option<String>>, tokio_postgres::Error> {
    let answers = client.simple_query(sql).await?;
    let row = answers.iter().find_map(|answer| match answer {
        SimpleQueryMessage::Row(row) => Some(row),
        _ => None,
    });
    Ok(row.map(|row| (0..row.len()).map(|place| row.get(place).map(str::to_owned)).collect()).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::stranger;

    #[test]
    fn relatives_of_postgresql_are_known_by_their_own_word() {
        for (version, expected) in [
            ("PostgreSQL 15.18 (Debian 15.18-0+deb12u1) on x86_64-pc-linux-gnu, compiled by gcc", None),
            ("PostgreSQL 16.4 on aarch64-unknown-linux-gnu, compiled by gcc (GCC) 9.5.0, 64-bit", None),
            ("CockroachDB CCL v24.1.0 (x86_64-pc-linux-gnu, built 2024/05/15, go1.22)", Some("CockroachDB")),
            ("PostgreSQL 11.2-YB-2.20.0.0-b0 on x86_64-pc-linux-gnu", Some("YugabyteDB")),
            ("PostgreSQL 8.0.2 on i686-pc-linux-gnu, compiled by GCC, Redshift 1.0.1", Some("Redshift")),
            ("PostgreSQL 12.12 (Greenplum Database 7.0.0)", Some("Greenplum")),
            ("", Some("another database")),
        ] {
            assert_eq!(stranger(version), expected, "{version}");
        }
    }
}
