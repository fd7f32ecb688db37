//! Connections to one HTTP server, kept open and used again.

use super::connection::Connection;
use super::dial::dial;
use super::shortage::Shortage;
use super::unanswered::Unanswered;
use bytes::Bytes;
use http::{Request, Response, Uri};
use http_body_util::Full;
use hyper::body::Incoming;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use rustls_platform_verifier::BuilderVerifierExt;
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_rustls::TlsConnector;

/// A connection that was idle for longer is not used again: a firewall or a proxy on the way may have forgotten it.
const LONGEST_IDLE: Duration = Duration::from_secs(90);

/// How often idle connections are checked.
const SWEEP: Duration = Duration::from_secs(10);

/// The connections to one server.
pub(super) struct Connections {
    host: Box<str>,
    port: u16,
    tls: Option<(TlsConnector, ServerName<'static>)>,
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
}

impl Connections {
    /// For a URL with a host; opens none yet.
    ///
    /// # Errors
    /// A sentence on what is missing.
    pub(super) fn new(url: &Uri, most_idle: usize) -> Result<Self, &'static str> {
        const EXPECTED: &str = "expected an address with http:// or https:// in front, found another one";
        const EXPECTED_NAME: &str = "expected a DNS name or an IP address behind https://, found another host";
        let host = url.host().ok_or(EXPECTED)?;
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let (port, tls) = match url.scheme_str() {
            Some("http") => (80, None),
            Some("https") => {
                let name = ServerName::try_from(host.to_owned()).map_err(|_| EXPECTED_NAME)?;
                (443, Some((tls()?, name)))
            }
            _ => return Err(EXPECTED),
        };
        let port = url.port_u16().unwrap_or(port);
        Ok(Self { host: host.into(), port, tls, most_idle, idle: Arc::default() })
    }

    /// Sends a request, and waits for the head of the answer. The connection reads the body.
    pub(super) async fn send(
        &self,
        request: Request<Full<Bytes>>,
    ) -> Result<(Connection, Response<Incoming>), Unanswered> {
        let request = match self.take() {
            None => request,
            Some(mut connection) => match connection.send(request).await {
                Ok(response) => return Ok((connection, response)),
                // The server closed the idle connection at this moment. If nothing was sent, a new connection takes the request.
                Err(mut error) => error.take_message().ok_or_else(|| Unanswered::Http(error.into_error()))?,
            },
        };
        let mut connection = self.open().await?;
        let response = connection.send(request).await.map_err(|error| Unanswered::Http(error.into_error()))?;
        Ok((connection, response))
    }

    /// Keeps a connection whose last answer was read whole.
    pub(super) fn put(&self, mut connection: Connection) {
        if connection.is_usable() {
            let mut idle = lock(&self.idle);
            if idle.connections.len() < self.most_idle {
                idle.connections.push((connection, Instant::now()));
                if !mem::replace(&mut idle.is_swept, true) {
                    tokio::spawn(sweep(Arc::downgrade(&self.idle)));
                }
            }
        }
    }

    /// The idle connection that was used last, if it is still usable.
    fn take(&self) -> Option<Connection> {
        loop {
            let (mut connection, since) = lock(&self.idle).connections.pop()?;
            if is_usable(&mut connection, since) {
                return Some(connection);
            }
        }
    }

    async fn open(&self) -> Result<Connection, Unanswered> {
        // The resolver does not say what it lacked.
        let unresolved = |_| Shortage::now().map_or(Unanswered::Name, Unanswered::Short);
        let addresses = tokio::net::lookup_host((&*self.host, self.port)).await.map_err(unresolved)?;
        let shortage = OnceLock::new();
        let connect = async |address| {
            let connected = TcpStream::connect(address).await;
            if let Some(short) = connected.as_ref().err().and_then(|error| Shortage::of_connect(error, address)) {
                shortage.get_or_init(|| short);
            }
            connected
        };
        let stream = dial(addresses, connect).await.map_err(|error| match shortage.get() {
            Some(&shortage) => Unanswered::Short(shortage),
            None => Unanswered::Connect(error),
        })?;
        stream.set_nodelay(true).map_err(Unanswered::Connect)?;
        match &self.tls {
            None => Connection::begin(stream).await,
            Some((tls, name)) => {
                let stream = tls.connect(name.clone(), stream).await.map_err(Unanswered::Connect)?;
                Connection::begin(stream).await
            }
        }
    }
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
    idle_since.elapsed() <= LONGEST_IDLE && connection.is_usable()
}

fn lock(idle: &Mutex<Idle>) -> MutexGuard<'_, Idle> {
    idle.lock().unwrap_or_else(PoisonError::into_inner)
}

/// TLS that trusts what the system trusts.
fn tls() -> Result<TlsConnector, &'static str> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(BuilderVerifierExt::with_platform_verifier)
        .map_err(|_| "TLS failed: the system has no root certificates")?;
    let mut config = config.with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsConnector::from(Arc::new(config)))
}

#[cfg(test)]
mod tests {
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
        let connections = Connections::new(&url, 2).unwrap();
        let written: Arc<AtomicBool> = Arc::default();
        for _ in 0..2 {
            let closing = Closing { was_written_to: Arc::clone(&written), ..Closing::default() };
            let connection = Connection::begin(closing).await.unwrap();
            lock(&connections.idle).connections.push((connection, Instant::now()));
        }
        let serve = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            assert_ne!(stream.read(&mut [0; 1024]).await.unwrap(), 0);
            stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
        };
        let exchange = async { tokio::join!(connections.send(Request::new(Full::default())), serve) };
        let (answer, ()) = tokio::time::timeout(Duration::from_secs(20), exchange).await.unwrap();
        assert_eq!(answer.unwrap().1.status(), 204);
        assert!(!written.load(Ordering::Relaxed));
        // Only the first case is tried again, so the other connection is still idle.
        assert_eq!(lock(&connections.idle).connections.len(), 1);
    }
}
