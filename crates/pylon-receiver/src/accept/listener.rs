//! Connections: limited in number and time, with a graceful shutdown.

use super::socket::Socket;
use super::tls::TlsKeys;
use crate::config::Limits;
use http::header::CONNECTION;
use http::{HeaderValue, Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper::server::conn::http1::Builder;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::convert::Infallible;
use std::error::Error;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::{JoinError, JoinSet};
use tokio::time::{sleep, timeout};

/// The largest head of a request, in bytes. A larger one is answered 431.
const HEAD_LIMIT: usize = 32 * 1024;
/// The largest buffer of a connection, in bytes.
const BUFFER_LIMIT: usize = 64 * 1024;
/// How long to wait if no connection can be accepted, most likely because there are no file descriptors left.
const BACK_OFF: Duration = Duration::from_millis(100);

/// The limits of a [`Listener`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenerLimits {
    /// Maximum number of connections; further ones wait to be accepted.
    pub connections: usize,
    /// Maximum number of connections from one address; further ones are closed.
    pub connections_of_address: usize,
    /// Maximum time from the opening of a connection, or its last answer, to the end of the next request's head; also the maximum
    /// time of a TLS handshake, and the longest time in which a peer reads nothing of an answer.
    pub header_timeout: Duration,
    /// Maximum number of requests on one connection; then it is closed.
    pub keep_alive_requests: u32,
    /// Maximum time from the signal to stop to the end.
    pub shutdown_timeout: Duration,
}

impl From<&Limits> for ListenerLimits {
    fn from(limits: &Limits) -> Self {
        Self {
            connections: limits.connections,
            // One address cannot keep out all others. A few connections are not shared.
            connections_of_address: (limits.connections / 2).max(limits.connections.min(16)),
            header_timeout: limits.header_timeout,
            keep_alive_requests: limits.keep_alive_requests,
            shutdown_timeout: limits.shutdown_timeout,
        }
    }
}

/// Listens at an address and passes requests on to be answered, over HTTP/1.1.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    limits: ListenerLimits,
    tls: Option<Arc<TlsKeys>>,
}

/// How a [`Listener`] ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stopped {
    /// How many connections were aborted, because they were at work when the time to stop was over.
    pub aborted: usize,
}

impl Listener {
    /// Takes the address; connections wait until [`run`](Self::run).
    ///
    /// # Errors
    /// The error of the operating system: the address is in use, or it is not an address of this machine.
    pub async fn bind(address: SocketAddr, limits: ListenerLimits) -> io::Result<Self> {
        Ok(Self { socket: TcpListener::bind(address).await?, limits, tls: None })
    }

    /// Speaks TLS, with the keys that are current when a connection is opened.
    #[must_use]
    pub fn with_tls(self, keys: Arc<TlsKeys>) -> Self {
        Self { tls: Some(keys), ..self }
    }

    /// The address; port 0 is replaced by the port that was chosen.
    ///
    /// # Errors
    /// The error of the operating system.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Serves requests until `stop` is over. Then it accepts nothing more, closes idle connections, and lets requests under way end
    /// within the limit's time.
    ///
    /// A panic during an answer ends its connection only.
    pub async fn run<F, A, B>(self, answer: F, stop: impl Future<Output = ()>) -> Stopped
    where
        F: Fn(Request<Incoming>, SocketAddr) -> A + Send + Sync + 'static,
        A: Future<Output = Response<B>> + Send + 'static,
        B: Body<Data: Send, Error: Into<Box<dyn Error + Send + Sync>>> + Send + 'static,
    {
        let Self { socket, limits, tls } = self;
        let mut builder = Builder::new();
        builder
            .timer(TokioTimer::new())
            .header_read_timeout(limits.header_timeout)
            .max_header_size(HEAD_LIMIT)
            .max_buf_size(BUFFER_LIMIT);
        let (stopping, is_stopping) = watch::channel(false);
        let places = Arc::new(Semaphore::new(limits.connections.clamp(1, Semaphore::MAX_PERMITS)));
        let shares = Arc::default();
        let shared = Arc::new(Shared { answer, builder, limits, tls });
        let mut connections = JoinSet::new();
        let mut stop = pin!(stop);
        loop {
            tokio::select! {
                biased;
                () = &mut stop => break,
                Some(ended) = connections.join_next() => log_panic(ended),
                (stream, remote, place) = accept(&socket, &places) => {
                    let Some(share) = Share::take(&shares, remote.ip(), shared.limits.connections_of_address) else {
                        continue;
                    };
                    let serving = serve(shared.clone(), stream, remote, is_stopping.clone());
                    connections.spawn(async move {
                        serving.await;
                        drop((place, share));
                    });
                }
            }
        }
        // From now on the operating system refuses connections, also those that wait to be accepted.
        drop(socket);
        // An error means that there are no connections.
        let _ = stopping.send(true);
        let all_ended = async {
            while let Some(ended) = connections.join_next().await {
                log_panic(ended);
            }
        };
        let aborted = match timeout(shared.limits.shutdown_timeout, all_ended).await {
            Ok(()) => 0,
            Err(_) => connections.len(),
        };
        connections.shutdown().await;
        Stopped { aborted }
    }
}

/// The number of connections of each address.
type Shares = Arc<Mutex<HashMap<IpAddr, usize>>>;

/// A place among the connections of an address, while it lives.
struct Share {
    shares: Shares,
    address: IpAddr,
}

impl Share {
    fn take(shares: &Shares, address: IpAddr, most: usize) -> Option<Self> {
        let mut counts = shares.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(address).or_default();
        if *count >= most.max(1) {
            return None;
        }
        *count += 1;
        Some(Self { shares: shares.clone(), address })
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut counts = self.shares.lock().unwrap_or_else(PoisonError::into_inner);
        if let Entry::Occupied(mut count) = counts.entry(self.address) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }
}

/// What all connections of a listener have in common.
struct Shared<F> {
    answer: F,
    builder: Builder,
    limits: ListenerLimits,
    tls: Option<Arc<TlsKeys>>,
}

/// The next connection, once there is a place for it.
async fn accept(socket: &TcpListener, places: &Arc<Semaphore>) -> (TcpStream, SocketAddr, OwnedSemaphorePermit) {
    let place = places.clone().acquire_owned().await.expect("nobody closes this semaphore");
    loop {
        match socket.accept().await {
            Ok((stream, remote)) => return (stream, remote, place),
            // The peer has gone: the next one may be there already.
            Err(error) if is_of_peer(&error) => {}
            Err(error) => {
                tracing::error!(%error, "no connection can be accepted; trying again");
                sleep(BACK_OFF).await;
            }
        }
    }
}

fn is_of_peer(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

fn log_panic(ended: Result<(), JoinError>) {
    if ended.is_err_and(|error| error.is_panic()) {
        tracing::error!("a connection ended by a panic while a request was answered");
    }
}

async fn serve<F, A, B>(shared: Arc<Shared<F>>, stream: TcpStream, remote: SocketAddr, stopping: watch::Receiver<bool>)
where
    F: Fn(Request<Incoming>, SocketAddr) -> A + Send + Sync + 'static,
    A: Future<Output = Response<B>> + Send + 'static,
    B: Body<Data: Send, Error: Into<Box<dyn Error + Send + Sync>>> + Send + 'static,
{
    // Answers are small and sent at once. A socket that refuses this is only slower.
    let _ = stream.set_nodelay(true);
    let Some(tls) = &shared.tls else {
        return exchange(&shared, stream, remote, stopping).await;
    };
    let handshake = timeout(shared.limits.header_timeout, tls.acceptor().accept(stream));
    let shaken = tokio::select! {
        shaken = handshake => shaken,
        () = stopped(stopping.clone()) => return,
    };
    match shaken {
        Ok(Ok(stream)) => exchange(&shared, stream, remote, stopping).await,
        Ok(Err(error)) => tracing::debug!(%remote, %error, "a TLS handshake failed"),
        Err(_) => tracing::debug!(%remote, "a TLS handshake took too long"),
    }
}

/// Serves the requests of one connection, to its end.
async fn exchange<F, A, B>(
    shared: &Shared<F>,
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    remote: SocketAddr,
    stopping: watch::Receiver<bool>,
) where
    F: Fn(Request<Incoming>, SocketAddr) -> A + Send + Sync + 'static,
    A: Future<Output = Response<B>> + Send + 'static,
    B: Body<Data: Send, Error: Into<Box<dyn Error + Send + Sync>>> + Send + 'static,
{
    let limits = &shared.limits;
    let lingers = Arc::new(AtomicBool::new(false));
    let answered = AtomicU32::new(0);
    let service = service_fn(|request| {
        let answer = (shared.answer)(request, remote);
        let (lingers, answered) = (&lingers, &answered);
        async move {
            let mut response = answer.await;
            // The body of a refused request may be unread.
            let is_refused = response.status().is_client_error() || response.status().is_server_error();
            lingers.store(is_refused, Ordering::Relaxed);
            if answered.fetch_add(1, Ordering::Relaxed) + 1 >= limits.keep_alive_requests {
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            Ok::<_, Infallible>(response)
        }
    });
    let socket = Socket::new(stream, limits.header_timeout, lingers.clone());
    let mut connection = pin!(shared.builder.serve_connection(TokioIo::new(socket), service));
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stopped(stopping) => {
            connection.as_mut().graceful_shutdown();
            // Only answers are left to wait for.
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%remote, %error, "a connection ended early");
    }
}

/// Waits until the listener stops or is dropped.
async fn stopped(mut stopping: watch::Receiver<bool>) {
    let _ = stopping.wait_for(|&stopping| stopping).await;
}
