//! The client's address: that of the connection, or the address that a trusted proxy names.

use crate::config::Network;
use http::{HeaderMap, HeaderName};
use std::net::{IpAddr, SocketAddr};

/// What proxies add the address of their peer to.
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Who sent a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Client {
    /// The address, IPv4 also where the connection has it as IPv6.
    pub(super) address: IpAddr,
    /// The port, where the client is the connection's own peer.
    port: Option<u16>,
}

impl Client {
    /// Goes back from proxy to proxy, from the connection's peer, and stops at the first address that is not a trusted proxy: all that
    /// is behind it may be invented. It stops before an entry that is no address, too.
    pub(super) fn of(peer: SocketAddr, headers: &HeaderMap, trusted: &[Network]) -> Self {
        let is_trusted = |address: IpAddr| trusted.iter().any(|network| network.contains(address));
        let mut client = Self { address: peer.ip().to_canonical(), port: Some(peer.port()) };
        let lines = headers.get_all(FORWARDED_FOR).iter().rev();
        let entries = lines.flat_map(|line| line.as_bytes().rsplit(|&byte| byte == b','));
        // Empty entries are none: <https://www.rfc-editor.org/rfc/rfc9110#section-5.6.1>.
        for entry in entries.filter(|entry| !entry.trim_ascii().is_empty()) {
            if !is_trusted(client.address) {
                break;
            }
            let Some(address) = address(entry) else { break };
            client = Self { address, port: None };
        }
        client
    }

    /// Whether the request names another client than the one that is believed.
    pub(super) fn is_behind_unknown_proxy(&self, headers: &HeaderMap) -> bool {
        self.port.is_some() && headers.contains_key(FORWARDED_FOR)
    }
}

impl std::fmt::Display for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.port {
            Some(port) => SocketAddr::new(self.address, port).fmt(f),
            None => self.address.fmt(f),
        }
    }
}

/// The address of an entry. Some proxies write the port too, and brackets around IPv6.
fn address(entry: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(entry.trim_ascii()).ok()?;
    let alone = || text.strip_prefix('[')?.strip_suffix(']')?.parse().ok().map(IpAddr::V6);
    let address = text.parse().ok().or_else(|| text.parse::<SocketAddr>().ok().map(|address| address.ip()));
    address.or_else(alone).map(|address| address.to_canonical())
}
