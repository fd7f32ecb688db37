//! Connections to one HTTP server, kept open and used again.
//!
//! Whoever uses a connection drives it as well. No other task has to run for an answer to arrive, and a connection ends with the
//! attempt that is dropped half-way.

use bytes::Bytes;
use http::{Request, Response, Uri};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use rustls_platform_verifier::BuilderVerifierExt;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// A connection that was idle for longer is not used again: something on the way may have forgotten it.
const LONGEST_IDLE: Duration = Duration::from_secs(90);

/// The connections to one server.
pub(super) struct Connections {
    host: Box<str>,
    port: u16,
    tls: Option<(TlsConnector, ServerName<'static>)>,
    /// How many idle ones are kept.
    most_idle: usize,
    /// The latest last.
    idle: Mutex<Vec<(Connection, Instant)>>,
}

/// Why there was no answer.
#[derive(Debug)]
pub(super) enum Unanswered {
    /// The name does not resolve.
    Name,
    /// The connection could not be opened, or TLS failed.
    Connect(io::Error),
    /// The connection broke off, or the answer was not HTTP.
    Http(hyper::Error),
}

impl Connections {
    /// For a URL with a host; opens none yet.
    ///
    /// # Errors
    /// A sentence on what is missing.
    pub(super) fn new(url: &Uri, most_idle: usize) -> Result<Self, &'static str> {
        const EXPECTED: &str = "expected an address with http:// or https:// in front, found another one";
        let host = url.host().ok_or(EXPECTED)?;
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let (port, tls) = match url.scheme_str() {
            Some("http") => (80, None),
            Some("https") => (443, Some((tls()?, ServerName::try_from(host.to_owned()).map_err(|_| EXPECTED)?))),
            _ => return Err(EXPECTED),
        };
        let port = url.port_u16().unwrap_or(port);
        Ok(Self { host: host.into(), port, tls, most_idle, idle: Mutex::default() })
    }

    /// A connection that is open and idle, or a new one.
    pub(super) async fn take(&self) -> Result<Connection, Unanswered> {
        loop {
            let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            match idle {
                None => return self.open().await,
                // Those below it have been idle for longer still.
                Some((_, since)) if since.elapsed() > LONGEST_IDLE => {
                    self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
                }
                Some((mut connection, _)) => {
                    if connection.is_usable().await {
                        return Ok(connection);
                    }
                }
            }
        }
    }

    /// Keeps a connection whose last answer was read whole.
    pub(super) async fn put(&self, mut connection: Connection) {
        if connection.is_usable().await {
            let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
            if idle.len() < self.most_idle {
                idle.push((connection, Instant::now()));
            }
        }
    }

    async fn open(&self) -> Result<Connection, Unanswered> {
        let addresses = tokio::net::lookup_host((&*self.host, self.port)).await.map_err(|_| Unanswered::Name)?;
        let stream = connect(addresses).await.map_err(Unanswered::Connect)?;
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

/// The first address that answers; the last error if none does.
async fn connect(addresses: impl Iterator<Item = std::net::SocketAddr>) -> io::Result<TcpStream> {
    let mut last = io::ErrorKind::NotFound.into();
    for address in addresses {
        match TcpStream::connect(address).await {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
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

/// An open connection.
pub(super) struct Connection {
    requests: SendRequest<Full<Bytes>>,
    /// None: it has ended.
    driver: Option<Driver>,
}

/// Reads and writes; ends with the connection.
type Driver = Pin<Box<dyn Future<Output = hyper::Result<()>> + Send>>;

impl Connection {
    async fn begin(stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) -> Result<Self, Unanswered> {
        let (requests, driver) = http1::handshake(TokioIo::new(stream)).await.map_err(Unanswered::Http)?;
        Ok(Self { requests, driver: Some(Box::pin(driver)) })
    }

    /// Sends a request, and waits for the head of the answer.
    pub(super) async fn send(&mut self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, Unanswered> {
        let mut response = std::pin::pin!(self.requests.send_request(request));
        let driver = &mut self.driver;
        poll_fn(|context| {
            drive(driver, context);
            response.as_mut().poll(context)
        })
        .await
        .map_err(Unanswered::Http)
    }

    /// The next piece of an answer's body; none: it has come whole.
    pub(super) async fn read(&mut self, body: &mut Incoming) -> Option<Result<usize, hyper::Error>> {
        let mut frame = body.frame();
        let driver = &mut self.driver;
        let frame = poll_fn(|context| {
            drive(driver, context);
            Pin::new(&mut frame).poll(context)
        });
        let length = |frame: http_body::Frame<Bytes>| frame.data_ref().map_or(0, Bytes::len);
        frame.await.map(|frame| frame.map(length))
    }

    /// Whether it takes another request now.
    async fn is_usable(&mut self) -> bool {
        poll_fn(|context| {
            drive(&mut self.driver, context);
            Poll::Ready(())
        })
        .await;
        self.driver.is_some() && self.requests.is_ready()
    }
}

fn drive(driver: &mut Option<Driver>, context: &mut Context<'_>) {
    // What fails is told to the request that waits.
    if driver.as_mut().is_some_and(|driver| driver.as_mut().poll(context).is_ready()) {
        *driver = None;
    }
}
