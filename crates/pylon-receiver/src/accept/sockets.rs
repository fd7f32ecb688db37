//! The sockets at which a listener listens.

use crate::config::ListenAddress;
use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::net::{TcpListener, TcpSocket, TcpStream, UnixListener, UnixStream, lookup_host};
use tokio::time::sleep;

/// How long to wait if no connection can be accepted, most likely because there are no file descriptors left.
const BACK_OFF: Duration = Duration::from_millis(100);
/// How many connections wait in the operating system to be accepted; beyond that, those who connect try again a second later.
const BACKLOG: u32 = 1024;

/// A connection.
#[derive(Debug)]
pub(super) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// A connection and the address of its peer.
#[derive(Debug)]
pub(super) struct Accepted {
    pub(super) stream: Stream,
    /// The peer of a Unix socket is on this machine, and counts as 127.0.0.1 with port 0.
    pub(super) remote: SocketAddr,
}

/// A socket that listens already, from the service manager.
#[derive(Debug)]
#[non_exhaustive]
pub enum InheritedSocket {
    /// For TCP.
    Tcp(std::net::TcpListener),
    /// A Unix socket.
    Unix(std::os::unix::net::UnixListener),
}

impl InheritedSocket {
    /// Where the socket listens.
    ///
    /// # Errors
    /// The error of the operating system.
    pub fn address(&self) -> io::Result<ListenAddress> {
        match self {
            Self::Tcp(listener) => listener.local_addr().map(ListenAddress::Ip),
            Self::Unix(listener) => listener.local_addr().map(|address| unix(address.as_pathname())),
        }
    }
}

fn unix(path: Option<&Path>) -> ListenAddress {
    ListenAddress::Unix(path.unwrap_or(Path::new("")).into())
}

/// The sockets at which a listener listens.
#[derive(Debug)]
pub(super) struct Sockets {
    sockets: Vec<Socket>,
    /// The one that is asked first, so that none starves.
    first: usize,
    /// Whether the last connection could not be accepted.
    is_failing: bool,
    /// Whether another process holds the sockets open too, and will accept what waits.
    is_shared: bool,
}

#[derive(Debug)]
enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener, Option<OwnFile>),
}

impl Sockets {
    /// Binds an address. A name is bound at each of its addresses that this machine has; port 0 is one free port for all of them.
    pub(super) async fn bind(address: &ListenAddress) -> io::Result<Self> {
        let addresses = match address {
            ListenAddress::Unix(path) => {
                let (listener, file) = OwnFile::bind(path)?;
                return Ok(Self::of(vec![Socket::Unix(listener, Some(file))], false));
            }
            ListenAddress::Name(name, port) if address.known().is_empty() => {
                lookup_host((&**name, *port)).await?.collect()
            }
            _ => address.known(),
        };
        let (mut sockets, mut port, mut missing) = (Vec::new(), None, None);
        for &one in &addresses {
            let one = SocketAddr::new(one.ip(), port.unwrap_or(one.port()));
            match listen(one) {
                Ok(listener) => {
                    port = Some(listener.local_addr()?.port());
                    sockets.push(Socket::Tcp(listener));
                }
                // This machine may lack IPv6, or a name have addresses of other machines too.
                Err(error) if addresses.len() > 1 && is_missing(&error) => missing = Some(error),
                Err(error) => return Err(error),
            }
        }
        if sockets.is_empty() {
            return Err(missing.unwrap_or_else(|| io::ErrorKind::AddrNotAvailable.into()));
        }
        Ok(Self::of(sockets, false))
    }

    /// Uses sockets that listen already and that the service manager keeps open.
    pub(super) fn inherited(inherited: Vec<InheritedSocket>) -> io::Result<Self> {
        let sockets = inherited.into_iter().map(|socket| match socket {
            InheritedSocket::Tcp(listener) => {
                listener.set_nonblocking(true)?;
                TcpListener::from_std(listener).map(Socket::Tcp)
            }
            InheritedSocket::Unix(listener) => {
                listener.set_nonblocking(true)?;
                UnixListener::from_std(listener).map(|listener| Socket::Unix(listener, None))
            }
        });
        Ok(Self::of(sockets.collect::<io::Result<_>>()?, true))
    }

    fn of(sockets: Vec<Socket>, is_shared: bool) -> Self {
        Self { sockets, first: 0, is_failing: false, is_shared }
    }

    /// Where the sockets listen.
    pub(super) fn addresses(&self) -> io::Result<Vec<ListenAddress>> {
        let addresses = self.sockets.iter().map(|socket| match socket {
            Socket::Tcp(listener) => listener.local_addr().map(ListenAddress::Ip),
            Socket::Unix(listener, _) => listener.local_addr().map(|address| unix(address.as_pathname())),
        });
        addresses.collect()
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
        if self.is_shared {
            return Vec::new();
        }
        let waiting = self.sockets.into_iter().flat_map(|socket| match socket {
            Socket::Tcp(listener) => drained(listener.into_std(), |listener| {
                let (stream, remote) = listener.accept()?;
                stream.set_nonblocking(true)?;
                Ok(Accepted::tcp((TcpStream::from_std(stream)?, remote)))
            }),
            Socket::Unix(listener, _file) => drained(listener.into_std(), |listener| {
                let (stream, _) = listener.accept()?;
                stream.set_nonblocking(true)?;
                Ok(Accepted::unix(UnixStream::from_std(stream)?))
            }),
        });
        waiting.collect()
    }

    fn poll_accept(&mut self, context: &mut Context<'_>) -> Poll<io::Result<Accepted>> {
        self.first = (self.first + 1) % self.sockets.len().max(1);
        let (before, after) = self.sockets.split_at(self.first);
        for socket in after.iter().chain(before) {
            let accepted = match socket {
                Socket::Tcp(listener) => listener.poll_accept(context).map_ok(Accepted::tcp),
                Socket::Unix(listener, _) => listener.poll_accept(context).map_ok(|(stream, _)| Accepted::unix(stream)),
            };
            if accepted.is_ready() {
                return accepted;
            }
        }
        Poll::Pending
    }
}

impl Accepted {
    fn tcp((stream, remote): (TcpStream, SocketAddr)) -> Self {
        Self { stream: Stream::Tcp(stream), remote }
    }

    fn unix(stream: UnixStream) -> Self {
        Self { stream: Stream::Unix(stream), remote: (Ipv4Addr::LOCALHOST, 0).into() }
    }
}

/// The address whose share of a limit a peer uses; none for the peers of Unix sockets, who would all have one share.
pub(super) fn shared_by(remote: SocketAddr) -> Option<IpAddr> {
    (remote.port() != 0).then(|| remote.ip().to_canonical())
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // The last connections of an earlier process do not keep the address.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// What waits at a listener now, also if the event loop has not noticed it yet.
fn drained<L>(listener: io::Result<L>, accept: impl Fn(&L) -> io::Result<Accepted>) -> Vec<Accepted> {
    let mut waiting = Vec::new();
    let Ok(listener) = listener else { return waiting };
    while waiting.len() < BACKLOG as usize {
        match accept(&listener) {
            Ok(accepted) => waiting.push(accepted),
            Err(error) if is_of_peer(&error) => {}
            Err(_) => break,
        }
    }
    waiting
}

/// The file of a Unix socket that this process has made; it is removed at the end.
#[derive(Debug)]
struct OwnFile {
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl OwnFile {
    /// Makes the socket. A socket that nobody listens at any more is replaced.
    fn bind(path: &Path) -> io::Result<(UnixListener, Self)> {
        let is_socket = path.symlink_metadata().is_ok_and(|metadata| metadata.file_type().is_socket());
        if is_socket {
            match std::os::unix::net::UnixStream::connect(path) {
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => std::fs::remove_file(path)?,
                _ => return Err(io::ErrorKind::AddrInUse.into()),
            }
        }
        let listener = UnixListener::bind(path)?;
        // As open as a port on loopback; the folder says who may connect.
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o666))?;
        let metadata = path.symlink_metadata()?;
        Ok((listener, Self { path: path.into(), device: metadata.dev(), inode: metadata.ino() }))
    }
}

impl Drop for OwnFile {
    fn drop(&mut self) {
        // Another process may have put its own there.
        let is_ours = |metadata: std::fs::Metadata| (metadata.dev(), metadata.ino()) == (self.device, self.inode);
        if self.path.symlink_metadata().is_ok_and(is_ours) {
            let _ = std::fs::remove_file(&self.path);
        }
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
