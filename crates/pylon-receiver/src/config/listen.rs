//! Where a listener listens.

use super::value::{Value, quote, read_text_as, value};
use crate::text::quoted;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::str::FromStr;

const EXPECTED: &str = "an address and a port such as `127.0.0.1:8080`";
const UNIX: &str = "unix:";

/// Where a listener listens.
///
/// ```
/// use pylon_receiver::config::ListenAddress;
///
/// for text in ["127.0.0.1:8080", "[::1]:8080", "localhost:8080", "unix:/run/pylon/webhooks.sock"] {
///     assert_eq!(text.parse::<ListenAddress>()?.to_string(), text);
/// }
/// # Ok::<(), String>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ListenAddress {
    /// At an IP address and a port.
    Ip(SocketAddr),
    /// At every address of this machine that a name has, such as `localhost`, and a port.
    Name(Box<str>, u16),
    /// At a Unix socket: `unix:PATH`.
    Unix(PathBuf),
}

impl ListenAddress {
    /// The IP address and port, if it is one.
    pub fn ip(&self) -> Option<SocketAddr> {
        match self {
            Self::Ip(address) => Some(*address),
            _ => None,
        }
    }

    /// The URL by which this machine reaches it, without a path; of an address that stands for all, that of loopback. None: it is a Unix
    /// socket.
    ///
    /// ```
    /// use pylon_receiver::config::ListenAddress;
    ///
    /// for (text, url) in [
    ///     ("127.0.0.1:8081", "http://127.0.0.1:8081"),
    ///     ("0.0.0.0:8081", "http://127.0.0.1:8081"),
    ///     ("[::]:8081", "http://[::1]:8081"),
    ///     ("localhost:8081", "http://localhost:8081"),
    /// ] {
    ///     assert_eq!(text.parse::<ListenAddress>()?.url().as_deref(), Some(url));
    /// }
    /// # Ok::<(), String>(())
    /// ```
    pub fn url(&self) -> Option<String> {
        match self {
            Self::Ip(address) if address.ip().is_unspecified() => {
                let loopback: IpAddr =
                    if address.is_ipv4() { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() };
                Some(format!("http://{}", SocketAddr::new(loopback, address.port())))
            }
            Self::Ip(_) | Self::Name(..) => Some(format!("http://{self}")),
            Self::Unix(_) => None,
        }
    }

    /// The IP addresses that are known without asking anybody: those of `localhost` are.
    pub(crate) fn known(&self) -> Vec<SocketAddr> {
        match self {
            Self::Ip(address) => vec![*address],
            Self::Name(name, port) if is_localhost(name) => {
                vec![(Ipv4Addr::LOCALHOST, *port).into(), (Ipv6Addr::LOCALHOST, *port).into()]
            }
            Self::Name(..) | Self::Unix(_) => Vec::new(),
        }
    }

    /// Whether only processes of this machine reach it.
    pub(crate) fn is_loopback(&self) -> bool {
        match self {
            Self::Ip(address) => address.ip().to_canonical().is_loopback(),
            Self::Name(name, _) => is_localhost(name),
            Self::Unix(_) => true,
        }
    }
}

/// Whether a name is that of this machine's loopback addresses, whatever a DNS server says.
pub(crate) fn is_localhost(name: &str) -> bool {
    name.eq_ignore_ascii_case("localhost")
}

impl From<SocketAddr> for ListenAddress {
    fn from(address: SocketAddr) -> Self {
        Self::Ip(address)
    }
}

impl<I: Into<IpAddr>> From<(I, u16)> for ListenAddress {
    fn from((ip, port): (I, u16)) -> Self {
        Self::Ip(SocketAddr::new(ip.into(), port))
    }
}

impl FromStr for ListenAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix(UNIX) {
            let address = Self::Unix(path.into());
            return unix_fault(&address).map_or(Ok(address), Err);
        }
        if let Ok(address) = text.parse() {
            return Ok(Self::Ip(address));
        }
        let named = text.rsplit_once(':').and_then(|(name, port)| Some((name, port.parse().ok()?)));
        match named {
            Some((name, port)) if is_host_name(name) => Ok(Self::Name(name.into(), port)),
            _ => Err(format!("expected {EXPECTED}, found {}", quoted(text))),
        }
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(address) => address.fmt(f),
            Self::Name(name, port) => write!(f, "{name}:{port}"),
            Self::Unix(path) => write!(f, "{UNIX}{}", path.display()),
        }
    }
}

/// Whether a text is a name and no malformed address: its last label begins with a letter.
/// <https://url.spec.whatwg.org/#ends-in-a-number-checker>
fn is_host_name(name: &str) -> bool {
    let is_label = |label: &str| {
        !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    let last = name.rsplit('.').next().unwrap_or_default();
    name.len() <= 253 && name.split('.').all(is_label) && last.starts_with(|first: char| first.is_ascii_alphabetic())
}

/// The longest path of a Unix socket, in bytes; `sockaddr_un` has 108 with the zero at the end, on some systems fewer.
const LONGEST_PATH: usize = 103;

fn unix_fault(address: &ListenAddress) -> Option<String> {
    let ListenAddress::Unix(path) = address else { return None };
    let expected = format!("expected the absolute path of a socket of at most {LONGEST_PATH} bytes after `{UNIX}`");
    let is_socket_path = path.is_absolute() && path != Path::new("/") && path.as_os_str().len() <= LONGEST_PATH;
    (!is_socket_path).then(|| format!("{expected}, found {}", quoted(&address.to_string())))
}

/// The format of an address.
pub(super) const LISTEN: Value<ListenAddress> = value(
    "address",
    |value| Ok(read_text_as(EXPECTED, value)?.parse::<ListenAddress>()?),
    |address| Some(quote(&address.to_string())),
)
.checked(unix_fault);

/// The same, without Unix sockets: commands and Prometheus ask over TCP.
pub(super) const LISTEN_TCP: Value<ListenAddress> = LISTEN.checked(|address| match address {
    ListenAddress::Unix(_) => Some(format!("expected {EXPECTED}, found a Unix socket")),
    _ => None,
});
