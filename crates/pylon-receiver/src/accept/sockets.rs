//! The sockets at which a listener listens.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;

/// How long to wait if no connection can be accepted, most likely because there are no file descriptors left.
const BACK_OFF: Duration = Duration::from_millis(100);
/// Maximum number of waiting connections that are taken when the sockets are closed: as many as the operating system keeps.
const BACKLOG: usize = 1024;

/// A connection and the address of its peer.
pub(super) type Accepted = (TcpStream, SocketAddr);

/// The sockets at which a listener listens.
#[derive(Debug)]
pub(super) struct Sockets {
    listeners: Vec<TcpListener>,
    /// The one that is asked first, so that none starves.
    first: usize,
    /// Whether the last connection could not be accepted.
    is_failing: bool,
    /// Whether another process holds the sockets open too, and will accept what waits.
    is_shared: bool,
}

impl Sockets {
    /// Binds these addresses. Port 0 is one free port for all of them.
    pub(super) async fn bind(addresses: &[SocketAddr]) -> io::Result<Self> {
        let mut listeners = Vec::<TcpListener>::new();
        let mut missing = None;
        for &address in addresses {
            let mut address = address;
            if let (0, Some(first)) = (address.port(), listeners.first()) {
                address.set_port(first.local_addr()?.port());
            }
            match TcpListener::bind(address).await {
                Ok(listener) => listeners.push(listener),
                // One of the name's addresses: this machine may lack IPv6.
                Err(error) if addresses.len() > 1 && is_missing(&error) => missing = Some(error),
                Err(error) => return Err(error),
            }
        }
        match (listeners.is_empty(), missing) {
            (false, _) => Ok(Self { listeners, first: 0, is_failing: false, is_shared: false }),
            (true, error) => Err(error.unwrap_or_else(|| io::ErrorKind::AddrNotAvailable.into())),
        }
    }

    /// Uses sockets that listen already and that the service manager keeps open.
    pub(super) fn inherited(listeners: Vec<std::net::TcpListener>) -> io::Result<Self> {
        let listeners = listeners.into_iter().map(|listener| {
            listener.set_nonblocking(true)?;
            TcpListener::from_std(listener)
        });
        let listeners = listeners.collect::<io::Result<Vec<_>>>()?;
        Ok(Self { listeners, first: 0, is_failing: false, is_shared: true })
    }

    /// The first address.
    pub(super) fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listeners.first().ok_or(io::ErrorKind::NotFound)?.local_addr()
    }

    /// The next connection. `failed` is told of each error of this machine, and whether it is the first since a success.
    pub(super) async fn accept(&mut self, failed: impl Fn(&io::Error, bool)) -> Accepted {
        loop {
            match poll_fn(|context| self.poll_accept(context)).await {
                Ok(accepted) => {
                    if std::mem::take(&mut self.is_failing) {
                        tracing::info!("connections are accepted again");
                    }
                    return accepted;
                }
                // The peer has gone: the next one may be there already.
                Err(error) if is_of_peer(&error) => {}
                Err(error) => {
                    failed(&error, !std::mem::replace(&mut self.is_failing, true));
                    sleep(BACK_OFF).await;
                }
            }
        }
    }

    /// Closes the sockets, and gives the connections that wait there.
    pub(super) fn close(self) -> Vec<Accepted> {
        let mut waiting = Vec::new();
        if self.is_shared {
            return waiting;
        }
        for listener in self.listeners {
            // What tokio has not noticed yet counts as well.
            let Ok(listener) = listener.into_std() else { continue };
            while waiting.len() < BACKLOG {
                match listener.accept() {
                    Ok((stream, remote)) => {
                        let stream = stream.set_nonblocking(true).and_then(|()| TcpStream::from_std(stream));
                        waiting.extend(stream.ok().map(|stream| (stream, remote)));
                    }
                    Err(error) if is_of_peer(&error) => {}
                    Err(_) => break,
                }
            }
        }
        waiting
    }

    fn poll_accept(&mut self, context: &mut Context<'_>) -> Poll<io::Result<Accepted>> {
        self.first = (self.first + 1) % self.listeners.len().max(1);
        let (before, after) = self.listeners.split_at(self.first);
        for listener in after.iter().chain(before) {
            if let Poll::Ready(accepted) = listener.poll_accept(context) {
                return Poll::Ready(accepted);
            }
        }
        Poll::Pending
    }
}

fn is_of_peer(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

/// Whether the machine does not have the address.
fn is_missing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::AddrNotAvailable | io::ErrorKind::Unsupported)
}
