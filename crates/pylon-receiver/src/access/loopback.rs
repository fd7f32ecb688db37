//! Requests from this machine.

use super::denied::Denied;
use super::header::only_text;
use axum::extract::Request;
use http::header::HOST;
use http::uri::Authority;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

/// What proxies add to a request that they pass on.
const PROXY_HEADERS: [&str; 5] = ["forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via"];

/// Lets in who is on this machine and names it by a loopback name.
pub(super) fn check(request: &Request) -> Result<(), Denied> {
    let headers = request.headers();
    // Whatever a listener lets in: without a known address nobody is from here.
    let remote = request.extensions().get().map(|remote: &SocketAddr| remote.ip().to_canonical());
    if !remote.is_some_and(|address| address.is_loopback()) {
        return Err(Denied::forbidden(
            "forbidden peer: expected a connection from this machine, found another; set admin_token to be asked from elsewhere",
        ));
    }
    // DNS rebinding: a page under a foreign name that resolves to 127.0.0.1 sends that name here.
    let is_named_so = request.uri().authority().is_none_or(|authority| is_loopback(authority.as_str()));
    if !is_named_so || !only_text(headers, &HOST).is_some_and(is_loopback) {
        return Err(Denied::forbidden(
            "forbidden host: expected localhost or a loopback address in the header host, found another or none; ask by such a name, or set an admin token",
        ));
    }
    // The client of a proxy may be on another machine.
    if let Some(name) = PROXY_HEADERS.iter().find(|&&name| headers.contains_key(name)) {
        return Err(Denied::forbidden(format!(
            "forbidden proxy: expected a request straight from this machine, found the header {name}; set admin_token to be asked through a proxy"
        )));
    }
    Ok(())
}

fn is_loopback(host: &str) -> bool {
    let Ok(authority) = host.parse::<Authority>() else { return false };
    let name = authority.host();
    let is_address = match name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(inner) => inner.parse().is_ok_and(|address: Ipv6Addr| address.is_loopback()),
        None => name.parse().is_ok_and(|address: Ipv4Addr| address.is_loopback()),
    };
    !host.contains('@') && (is_address || name.eq_ignore_ascii_case("localhost"))
}
