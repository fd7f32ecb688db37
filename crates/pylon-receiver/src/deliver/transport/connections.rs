//! Connections to one HTTP server, kept open and used again.

use super::connection::Connection;
use super::route::Route;
use super::unanswered::Unanswered;
use bytes::Bytes;
use http::header::CONNECTION;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;
use tokio::time::Instant;

/// A connection that was idle for longer is not used again: a firewall or a proxy on the way may have forgotten it.
const LONGEST_IDLE: Duration = Duration::from_secs(90);

/// A connection that is older is not used again: the name may lead elsewhere by now, and a load balancer may have other servers.
const GREATEST_AGE: Duration = Duration::from_secs(300);

/// How often idle connections are checked.
const SWEEP: Duration = Duration::from_secs(10);

/// The connections to one server.
pub(super) struct Connections {
    route: Route,
    /// How many idle ones are kept.
    most_idle: usize,
    idle: Arc<Mutex<Idle>>,
}

/// The connections that wait for a request.
#[derive(Default)]
struct Idle {
    /// The latest last, each with the moment from which it was idle.
    connections: Vec<(Connection, Instant)>,
    /// Whether a task sweeps them.
    is_swept: bool,
    /// How often all connections were given up.
    generation: u64,
}

/// A connection whose answer is being read.
pub(super) struct InUse {
    pub(super) connection: Connection,
    generation: u64,
}

impl Connections {
    /// Opens none yet.
    pub(super) fn new(route: Route, most_idle: usize) -> Self {
        Self { route, most_idle, idle: Arc::default() }
    }

    /// The way to the server.
    pub(super) fn route(&self) -> &Route {
        &self.route
    }

    /// Sends a request, and waits for the head of the answer.
    pub(super) async fn send(
        &self,
        request: impl Fn() -> Request<Full<Bytes>>,
    ) -> Result<(InUse, Response<Incoming>), Unanswered> {
        let mut first = request();
        let (used, generation) = self.take();
        if let Some(mut connection) = used {
            first = match connection.send(first).await {
                Ok(response) if is_of_idle_connection(&response) => request(),
                Ok(response) => return Ok((InUse { connection, generation }, response)),
                // The server closed the idle connection at this moment. If nothing was sent, a new connection takes the request.
                Err(mut error) => error.take_message().ok_or_else(|| Unanswered::Http(error.into_error()))?,
            };
        }
        let mut connection = Connection::begin(self.route.open().await?).await?;
        let response = connection.send(first).await.map_err(|error| Unanswered::Http(error.into_error()))?;
        Ok((InUse { connection, generation }, response))
    }

    /// Keeps a connection whose last answer was read whole.
    pub(super) fn put(&self, InUse { mut connection, generation }: InUse) {
        if is_young(&connection) && connection.is_usable() {
            let mut idle = lock(&self.idle);
            if generation == idle.generation && idle.connections.len() < self.most_idle {
                idle.connections.push((connection, Instant::now()));
                if !mem::replace(&mut idle.is_swept, true) {
                    tokio::spawn(sweep(Arc::downgrade(&self.idle)));
                }
            }
        }
    }

    /// Uses none of the present connections again: the server at their other end does not answer as it should.
    pub(super) fn give_up(&self) {
        let mut idle = lock(&self.idle);
        idle.generation += 1;
        let given_up = mem::take(&mut idle.connections);
        drop(idle);
        drop(given_up);
    }

    /// The idle connection that was used last, if it is still usable; and the present generation.
    fn take(&self) -> (Option<Connection>, u64) {
        loop {
            let (last, generation) = {
                let mut idle = lock(&self.idle);
                (idle.connections.pop(), idle.generation)
            };
            let Some((mut connection, since)) = last else { return (None, generation) };
            if is_usable(&mut connection, since) {
                return (Some(connection), generation);
            }
        }
    }
}

/// Whether the server says that it closes the connection because no request came in time (RFC 9110, section 15.5.9). On a connection
/// that was idle, the answer was under way before the request, which may be repeated.
fn is_of_idle_connection(response: &Response<Incoming>) -> bool {
    response.status() == StatusCode::REQUEST_TIMEOUT && closes(response.headers())
}

fn closes(headers: &HeaderMap) -> bool {
    let mut values = headers.get_all(CONNECTION).into_iter();
    values.any(|value| {
        value.as_bytes().split(|&byte| byte == b',').any(|token| token.trim_ascii().eq_ignore_ascii_case(b"close"))
    })
}

/// Closes idle connections that are too old or that the server has closed. Ends at the check that finds none left, or no
/// [`Connections`].
async fn sweep(idle: Weak<Mutex<Idle>>) {
    loop {
        tokio::time::sleep(SWEEP).await;
        let Some(idle) = idle.upgrade() else { return };
        let mut idle = lock(&idle);
        idle.connections.retain_mut(|(connection, since)| is_usable(connection, *since));
        if idle.connections.is_empty() {
            idle.is_swept = false;
            return;
        }
    }
}

fn is_usable(connection: &mut Connection, idle_since: Instant) -> bool {
    idle_since.elapsed() <= LONGEST_IDLE && is_young(connection) && connection.is_usable()
}

fn is_young(connection: &Connection) -> bool {
    connection.since.elapsed() <= GREATEST_AGE
}

fn lock(idle: &Mutex<Idle>) -> MutexGuard<'_, Idle> {
    idle.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::super::route::Way;
    use super::super::tls::Tls;
    use super::*;
    use std::io;
    use std::pin::Pin;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::task::{Context, Poll};
    use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
    use tokio::net::TcpListener;

    /// Open at the first look, closed by the server at the second.
    #[derive(Default)]
    struct Closing {
        was_looked_at: bool,
        was_written_to: Arc<AtomicBool>,
    }

    impl AsyncRead for Closing {
        fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
            if self.was_looked_at {
                return Poll::Ready(Ok(()));
            }
            self.was_looked_at = true;
            context.waker().wake_by_ref();
            Poll::Pending
        }
    }

    impl AsyncWrite for Closing {
        fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
            self.was_written_to.store(true, Ordering::Relaxed);
            Poll::Ready(Ok(bytes.len()))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    #[tokio::test]
    async fn a_request_that_an_idle_connection_gives_back_goes_out_on_a_new_one() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap()).parse().unwrap();
        let tls = Tls::read(None, None).unwrap();
        let connections = Connections::new(Route::new(&url, Way::Network, tls).unwrap(), 2);
        let written: Arc<AtomicBool> = Arc::default();
        for _ in 0..2 {
            let closing = Closing { was_written_to: Arc::clone(&written), ..Closing::default() };
            let connection = Connection::begin(Box::new(closing)).await.unwrap();
            lock(&connections.idle).connections.push((connection, Instant::now()));
        }
        let serve = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            assert_ne!(stream.read(&mut [0; 1024]).await.unwrap(), 0);
            stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
        };
        let exchange = async { tokio::join!(connections.send(|| Request::new(Full::default())), serve) };
        let (answer, ()) = tokio::time::timeout(Duration::from_secs(20), exchange).await.unwrap();
        assert_eq!(answer.unwrap().1.status(), 204);
        assert!(!written.load(Ordering::Relaxed));
        // Only the first case is tried again, so the other connection is still idle.
        assert_eq!(lock(&connections.idle).connections.len(), 1);
    }
}
