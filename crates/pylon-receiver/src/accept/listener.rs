//! Connections: limited in number, with a graceful shutdown.

use super::connection::{GRACE, Shared, serve};
use super::connection_refusal::{ConnectionRefusal, ConnectionRefusals};
use super::limits::ListenerLimits;
use super::places::Places;
use super::sockets::{Accepted, InheritedSocket, Sockets, Stream, shared_by};
use super::tls::TlsKeys;
use crate::config::ListenAddress;
use crate::metrics::Metrics;
use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use std::collections::VecDeque;
use std::error::Error;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{sleep_until, timeout_at};

/// Listens at an address and passes requests on to be answered, over HTTP/1.1.
pub struct Listener {
    sockets: Sockets,
    limits: ListenerLimits,
    refusals: ConnectionRefusals,
    tls: Option<Arc<TlsKeys>>,
}

/// How a [`Listener`] ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stopped {
    /// How many connections were aborted, because they were at work when the time to stop was over.
    pub aborted: usize,
}

impl Listener {
    /// Takes the address; connections wait until [`run`](Self::run). What is refused is counted under the listener's key in the
    /// configuration.
    ///
    /// # Errors
    /// The error of the operating system: the address is in use, or it is not an address of this machine.
    pub async fn bind(
        key: &'static str,
        address: &ListenAddress,
        limits: ListenerLimits,
        metrics: Arc<Metrics>,
    ) -> io::Result<Self> {
        Ok(Self::over(key, Sockets::bind(address).await?, limits, metrics))
    }

    /// The same, at sockets that listen already and that the service manager keeps open.
    ///
    /// # Errors
    /// The error of the operating system.
    pub fn inherited(
        key: &'static str,
        sockets: Vec<InheritedSocket>,
        limits: ListenerLimits,
        metrics: Arc<Metrics>,
    ) -> io::Result<Self> {
        Ok(Self::over(key, Sockets::inherited(sockets)?, limits, metrics))
    }

    fn over(key: &'static str, sockets: Sockets, limits: ListenerLimits, metrics: Arc<Metrics>) -> Self {
        Self { sockets, limits, refusals: ConnectionRefusals::new(key, metrics), tls: None }
    }

    /// Speaks TLS, with the keys that are current when a connection is opened.
    #[must_use]
    pub fn with_tls(self, keys: Arc<TlsKeys>) -> Self {
        Self { tls: Some(keys), ..self }
    }

    /// Where it listens: one address or more; port 0 is replaced by the port that was chosen.
    ///
    /// # Errors
    /// The error of the operating system.
    pub fn addresses(&self) -> io::Result<Vec<ListenAddress>> {
        self.sockets.addresses()
    }

    /// Serves requests until `stop` gives a deadline. Then each connection's next answer is its last; connections are accepted for
    /// another moment, if any are open; the sockets are closed; and what is under way may end until the deadline.
    ///
    /// A panic during an answer ends its connection only.
    pub async fn run<F, A, B>(self, answer: F, stop: impl Future<Output = Instant>) -> Stopped
    where
        F: Fn(Request<Incoming>, SocketAddr) -> A + Send + Sync + 'static,
        A: Future<Output = Response<B>> + Send + 'static,
        B: Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>> + Send + 'static,
    {
        let Self { mut sockets, limits, refusals, tls } = self;
        let shared = Shared { answer, limits, tls, refusals, ending: watch::Sender::new(false) };
        let mut crew = Crew {
            places: Arc::new(Places::new(&shared.limits)),
            shared: Arc::new(shared),
            connections: JoinSet::new(),
            waiting: VecDeque::new(),
        };
        let deadline = crew.accept(&mut sockets, stop, false).await.unwrap_or_else(Instant::now);
        crew.shared.ending.send_replace(true);
        // What a peer has sent when it is told to go elsewhere is answered.
        let left = deadline.saturating_duration_since(Instant::now());
        let last_call = Instant::now() + GRACE.min(left / 2);
        crew.accept(&mut sockets, sleep_until(last_call.into()), true).await;
        // From now on nobody is let in, unless another process holds the sockets.
        sockets.close().into_iter().for_each(|accepted| crew.take(accepted));
        crew.end(deadline).await
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listener").field("sockets", &self.sockets).field("limits", &self.limits).finish_non_exhaustive()
    }
}

/// The connections that are being served.
struct Crew<F> {
    shared: Arc<Shared<F>>,
    connections: JoinSet<()>,
    places: Arc<Places>,
    /// One connection too many; more of them when the sockets are closed.
    waiting: VecDeque<Accepted>,
}

impl<F, A, B> Crew<F>
where
    F: Fn(Request<Incoming>, SocketAddr) -> A + Send + Sync + 'static,
    A: Future<Output = Response<B>> + Send + 'static,
    B: Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>> + Send + 'static,
{
    /// Accepts connections until the future is over, or until there are none, if that is asked for.
    async fn accept<T>(&mut self, sockets: &mut Sockets, until: impl Future<Output = T>, or_none: bool) -> Option<T> {
        let mut until = pin!(until);
        let shared = self.shared.clone();
        let failed = |error: &io::Error, is_first| shared.refusals.not_accepted(error, is_first);
        loop {
            if or_none && self.connections.is_empty() {
                return None;
            }
            tokio::select! {
                biased;
                over = &mut until => return Some(over),
                Some(ended) = self.connections.join_next() => self.ended(ended),
                accepted = sockets.accept(failed), if self.waiting.is_empty() => self.take(accepted),
            }
        }
    }

    /// Serves a connection, or keeps it until there is a place for it.
    fn take(&mut self, accepted: Accepted) {
        if !self.places.are_taken() {
            return self.serve(accepted);
        }
        if !self.places.make_room() {
            self.shared.refusals.refuse(ConnectionRefusal::AllInUse, accepted.remote);
        }
        self.waiting.push_back(accepted);
    }

    fn serve(&mut self, Accepted { stream, remote }: Accepted) {
        let Some(place) = self.places.take(shared_by(remote)) else {
            return self.shared.refusals.refuse(ConnectionRefusal::ShareInUse, remote);
        };
        let shared = self.shared.clone();
        self.connections.spawn(async move {
            match stream {
                Stream::Tcp(stream) => {
                    // Answers are small and sent at once. A socket that refuses this is only slower.
                    let _ = stream.set_nodelay(true);
                    serve(shared, stream, remote, place).await;
                }
                Stream::Unix(stream) => serve(shared, stream, remote, place).await,
            }
        });
    }

    /// A connection ended: its place is for one that waits.
    fn ended(&mut self, ended: Result<(), JoinError>) {
        if ended.is_err_and(|error| error.is_panic()) {
            tracing::error!("a connection ended by a panic while a request was answered");
        }
        while !self.places.are_taken()
            && let Some(accepted) = self.waiting.pop_front()
        {
            self.serve(accepted);
        }
    }

    /// Waits for the end of all connections, until the deadline.
    async fn end(mut self, deadline: Instant) -> Stopped {
        let all_ended = async {
            while let Some(ended) = self.connections.join_next().await {
                self.ended(ended);
            }
        };
        let aborted = match timeout_at(deadline.into(), all_ended).await {
            Ok(()) => 0,
            Err(_) => self.connections.len(),
        };
        self.connections.shutdown().await;
        Stopped { aborted }
    }
}
