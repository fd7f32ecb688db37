//! The address itself: what is known of a database before anybody connects.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use std::fmt::{self, Write};
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;
use zeroize::Zeroizing;

/// The schema of the ledger unless the address names another.
pub(super) const DEFAULT_SCHEMA: &str = "pylon_receiver";
/// What the server shows in `pg_stat_activity` unless the address names something else.
pub(super) const DEFAULT_APPLICATION: &str = "pylon-receiver";
/// How long a host may take until it has let a connection in, unless the address says otherwise.
pub(super) const DEFAULT_TIMEOUT: Duration = Duration::from_secs(5);

/// What stands in a URL as it is.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
/// The same of a path.
const PATH: &AsciiSet = &PLAIN.remove(b'/');

/// Where a PostgreSQL ledger is: hosts, user, database, schema, TLS. `Debug` and `Display` never show the password.
///
/// ```
/// use pylon_receiver::PostgresAddress;
///
/// let address: PostgresAddress = "postgres://pylon:secret@db1,db2:5433/events?sslmode=verify-full".parse()?;
/// assert_eq!(address.hosts.len(), 2);
/// assert_eq!(address.to_string(), "postgres://pylon@db1:5432,db2:5433/events?sslmode=verify-full");
/// # Ok::<(), String>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PostgresAddress {
    /// One or more, tried in turn: the one that is not a standby is used.
    pub hosts: Vec<PostgresHost>,
    /// The role.
    pub user: String,
    /// The database.
    pub database: String,
    /// The schema with the tables of the ledger.
    pub schema: String,
    /// How the connection is secured.
    pub tls: PostgresTls,
    /// How the receiver shows itself to the server.
    pub application_name: String,
    /// How long one host may take until it has let a connection in.
    pub connect_timeout: Duration,
    pub(super) password: Option<Zeroizing<String>>,
}

/// One host of a [`PostgresAddress`].
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum PostgresHost {
    /// A name or an IP address, by TCP.
    Tcp {
        /// The name, or the address without brackets.
        name: String,
        /// The port.
        port: u16,
    },
    /// A Unix socket on this machine.
    Socket {
        /// The folder of the socket.
        folder: PathBuf,
        /// The port, which is a part of the socket's name.
        port: u16,
    },
}

/// How a connection is secured.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PostgresTls {
    /// Whether TLS is used, or must not be; none: except on a Unix socket and on loopback. A server is always verified, its name too.
    pub is_used: Option<bool>,
    /// The certificates of the authorities that are trusted, PEM; none: those that the system trusts.
    pub authorities: Option<PathBuf>,
    /// The files of the client's own certificate and of its key, PEM.
    pub client: Option<(PathBuf, PathBuf)>,
    /// Whether the password is proved only to the server at the other end of this TLS connection (`channel_binding=require`).
    pub binds_channel: bool,
}

impl PostgresAddress {
    /// The password, if URL or environment had one.
    pub fn password(&self) -> Option<&str> {
        self.password.as_ref().map(|password| password.as_str())
    }

    /// Whether a connection to this host is secured by TLS.
    pub fn is_secured(&self, host: &PostgresHost) -> bool {
        match host {
            PostgresHost::Socket { .. } => false,
            PostgresHost::Tcp { .. } => self.tls.is_used.unwrap_or(!host.is_loopback()),
        }
    }
}

impl PostgresHost {
    /// The port.
    pub fn port(&self) -> u16 {
        match self {
            Self::Tcp { port, .. } | Self::Socket { port, .. } => *port,
        }
    }

    /// Whether it is this machine, as far as its name says so.
    pub fn is_loopback(&self) -> bool {
        match self {
            Self::Socket { .. } => true,
            Self::Tcp { name, .. } => {
                name.eq_ignore_ascii_case("localhost")
                    || name.parse::<IpAddr>().is_ok_and(|ip| ip.to_canonical().is_loopback())
            }
        }
    }

    /// The name or the folder, as parameter `host` has it.
    fn name(&self) -> String {
        match self {
            Self::Tcp { name, .. } => name.clone(),
            Self::Socket { folder, .. } => folder.display().to_string(),
        }
    }
}

impl fmt::Display for PostgresHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { name, port } if name.contains(':') => write!(f, "[{name}]:{port}"),
            Self::Tcp { name, port } => write!(f, "{name}:{port}"),
            Self::Socket { folder, port } => write!(f, "{}/.s.PGSQL.{port}", folder.display()),
        }
    }
}

impl fmt::Display for PostgresAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let encoded = |text: &str| utf8_percent_encode(text, PLAIN).to_string();
        let joined = |parts: Vec<String>| parts.join(",");
        let mut parameters = Vec::new();
        write!(f, "postgres://{}@", encoded(&self.user))?;
        if self.hosts.iter().all(|host| matches!(host, PostgresHost::Tcp { .. })) {
            f.write_str(&joined(self.hosts.iter().map(PostgresHost::to_string).collect()))?;
        } else {
            let named = self.hosts.iter().map(|host| utf8_percent_encode(&host.name(), PATH).to_string());
            parameters.push(("host", joined(named.collect())));
            parameters.push(("port", joined(self.hosts.iter().map(|host| host.port().to_string()).collect())));
        }
        write!(f, "/{}", encoded(&self.database))?;
        let PostgresTls { is_used, authorities, client, binds_channel } = &self.tls;
        let mut add = |name, value: Option<String>| {
            parameters.extend(value.map(|value| (name, utf8_percent_encode(&value, PATH).to_string())));
        };
        let file = |path: &PathBuf| path.display().to_string();
        add("schema", (self.schema != DEFAULT_SCHEMA).then(|| self.schema.clone()));
        add("sslmode", is_used.map(|is_used| if is_used { "verify-full" } else { "disable" }.to_owned()));
        add("sslrootcert", authorities.as_ref().map(file));
        add("sslcert", client.as_ref().map(|(certificate, _)| file(certificate)));
        add("sslkey", client.as_ref().map(|(_, key)| file(key)));
        add("channel_binding", binds_channel.then(|| "require".to_owned()));
        let application = &self.application_name;
        add("application_name", (application != DEFAULT_APPLICATION).then(|| application.clone()));
        let timeout = self.connect_timeout;
        add("connect_timeout", (timeout != DEFAULT_TIMEOUT).then(|| timeout.as_secs().to_string()));
        for ((name, value), before) in parameters.iter().zip(['?'].into_iter().chain(std::iter::repeat('&'))) {
            f.write_char(before)?;
            write!(f, "{name}={value}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for PostgresAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let password = if self.password.is_some() { "[redacted]" } else { "none" };
        write!(f, "PostgresAddress({self}, password: {password})")
    }
}
