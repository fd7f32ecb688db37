//! From an address to a stream that is ready for PostgreSQL's first message: name, socket, TLS.

use super::pulse::Pulse;
use super::stream::{Carrier, Stream};
use super::tls::secure;
use crate::postgres_address::{PostgresAddress, PostgresHost};
use rustix::net::sockopt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpStream, UnixStream, lookup_host};
use tokio::time::{Instant, timeout_at};

/// How long sent bytes may stay unconfirmed before the connection counts as broken.
const UNCONFIRMED: Duration = Duration::from_secs(5);
/// When nothing was sent: how long until the other side is asked whether it is there, how often again, and how many times.
const IDLE: Duration = Duration::from_secs(5);
const INTERVAL: Duration = Duration::from_secs(2);
const PROBES: u32 = 3;

/// Connects to a host, until the deadline.
///
/// # Errors
/// A sentence.
pub(super) async fn dial(
    address: &PostgresAddress,
    host: &PostgresHost,
    deadline: Instant,
    pulse: &Arc<Pulse>,
) -> Result<Stream, String> {
    let carrier = match host {
        PostgresHost::Socket { .. } => {
            let stream = UnixStream::connect(host.to_string()).await;
            Carrier::Unix(stream.map_err(|error| format!("cannot connect: {}", of(&error)))?)
        }
        PostgresHost::Tcp { name, port } => {
            let stream = by_name(name, *port, deadline).await?;
            let set = prepare(&stream);
            set.map_err(|error| format!("the socket cannot be set up: {error}"))?;
            match address.is_secured(host) {
                true => Carrier::Tls(Box::new(secure(stream, name, &address.tls).await?)),
                false => Carrier::Tcp(stream),
            }
        }
    };
    Ok(Stream::new(carrier, pulse.clone()))
}

/// Tries the addresses of a name in turn. Each has its part of the time: one that swallows packets leaves some to the others.
async fn by_name(name: &str, port: u16, deadline: Instant) -> Result<TcpStream, String> {
    let found = lookup_host((name, port)).await;
    let found: Vec<SocketAddr> = found.map_err(|error| format!("the name cannot be resolved: {error}"))?.collect();
    let mut last = "the name has no address".to_owned();
    for (place, address) in found.iter().enumerate() {
        let left = deadline.saturating_duration_since(Instant::now());
        let others = u32::try_from(found.len() - place).unwrap_or(u32::MAX);
        match timeout_at(Instant::now() + left / others, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => last = format!("cannot connect: {}", of(&error)),
            Err(_) => last = "cannot connect: no answer in time".to_owned(),
        }
    }
    Err(last)
}

/// A dead peer is known within seconds, and small messages go out at once.
fn prepare(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    sockopt::set_socket_keepalive(stream, true)?;
    #[cfg(target_os = "linux")]
    {
        sockopt::set_tcp_keepidle(stream, IDLE)?;
        sockopt::set_tcp_keepintvl(stream, INTERVAL)?;
        sockopt::set_tcp_keepcnt(stream, PROBES)?;
        let milliseconds = u32::try_from(UNCONFIRMED.as_millis()).unwrap_or(u32::MAX);
        sockopt::set_tcp_user_timeout(stream, milliseconds)?;
    }
    Ok(())
}

fn of(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        io::ErrorKind::NotFound => "no socket there".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        _ => error.to_string(),
    }
}
