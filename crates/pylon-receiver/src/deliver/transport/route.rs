//! The way to one server: through the network, a proxy or a Unix socket, and with TLS or without.

use super::dial::dial;
use super::proxy::Proxy;
use super::shortage::Shortage;
use super::stream::Stream;
use super::tls::Tls;
use super::unanswered::{ProxyFault, Unanswered};
use crate::config::HttpTransport;
use http::Uri;
use http::uri::Authority;
use rustls::pki_types::ServerName;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::OnceLock;
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;

/// The way to a server.
pub(super) struct Route {
    host: Box<str>,
    port: u16,
    way: Way,
    tls: Option<(Tls, ServerName<'static>)>,
}

/// What the connection goes through.
pub(super) enum Way {
    Network,
    Proxy(Proxy),
    Socket(PathBuf),
}

impl Way {
    /// The way that is configured.
    pub(super) fn new(config: &HttpTransport, proxy: Option<Proxy>) -> Self {
        match (&config.socket, proxy) {
            (Some(path), _) => Self::Socket(path.clone()),
            (None, Some(proxy)) => Self::Proxy(proxy),
            (None, None) => Self::Network,
        }
    }
}

impl Route {
    /// The way to the host of a URL; opens nothing yet.
    ///
    /// # Errors
    /// A sentence on what is missing.
    pub(super) fn new(url: &Uri, way: Way, tls: Tls) -> Result<Self, &'static str> {
        const EXPECTED: &str = "expected an address with http:// or https:// in front, found another one";
        const EXPECTED_NAME: &str = "expected a DNS name or an IP address behind https://, found another host";
        let host = url.host().ok_or(EXPECTED)?;
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let (port, tls) = match url.scheme_str() {
            Some("http") => (80, None),
            Some("https") => (443, Some((tls, ServerName::try_from(host.to_owned()).map_err(|_| EXPECTED_NAME)?))),
            _ => return Err(EXPECTED),
        };
        let port = url.port_u16().unwrap_or(port);
        Ok(Self { host: host.into(), port, way, tls })
    }

    /// The proxy that reads and forwards each request, where there is no TLS for it to pass on unread.
    pub(super) fn forwarder(&self) -> Option<&Proxy> {
        match &self.way {
            Way::Proxy(proxy) if self.tls.is_none() => Some(proxy),
            _ => None,
        }
    }

    /// Opens a connection. Names are resolved anew.
    pub(super) async fn open(&self) -> Result<Box<dyn Stream>, Unanswered> {
        let tls = match &self.tls {
            Some((tls, name)) => Some((tls.connector().map_err(or_short(Unanswered::Missing))?, name)),
            None => None,
        };
        // Of several addresses the last one may fail for another reason.
        let lacking = OnceLock::new();
        let unconnected = |error| lacking.get().map_or(Unanswered::Connect(error), |&short| Unanswered::Short(short));
        match &self.way {
            Way::Socket(path) => {
                let stream = UnixStream::connect(path).await.map_err(|error| match Shortage::of(&error) {
                    Some(shortage) => Unanswered::Short(shortage),
                    None => Unanswered::Socket(error),
                })?;
                secured(Box::new(stream), tls).await.map_err(Unanswered::Connect)
            }
            Way::Network => {
                let addresses = tokio::net::lookup_host((&*self.host, self.port)).await;
                let addresses = addresses.map_err(or_short(|_| Unanswered::Name))?;
                direct(addresses, tls, &lacking).await.map_err(unconnected)
            }
            Way::Proxy(proxy) => {
                let addresses = tokio::net::lookup_host((&*proxy.host, proxy.port)).await;
                let addresses = addresses.map_err(or_short(|_| Unanswered::Proxy(ProxyFault::Name)))?;
                let connect = async |address| {
                    let fault = |error| io::Error::other(ProxyFault::Connect(error));
                    let stream = connected(address, &lacking).await.map_err(fault)?;
                    match tls {
                        Some(_) => secured(proxy.tunnel(stream, &self.authority()?).await?, tls).await,
                        None => Ok(stream),
                    }
                };
                dial(addresses, connect).await.map_err(unconnected)
            }
        }
    }

    /// Host and port, as a proxy is asked for them.
    fn authority(&self) -> io::Result<Authority> {
        let Self { host, port, .. } = self;
        let text = if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
        text.parse().map_err(io::Error::other)
    }
}

/// The fault, unless the receiver lacks something: neither the system's resolver nor its store of certificates tells.
fn or_short<E>(fault: impl FnOnce(E) -> Unanswered) -> impl FnOnce(E) -> Unanswered {
    |error| Shortage::now().map_or_else(|| fault(error), Unanswered::Short)
}

/// A connection to one of the addresses. One at which TLS fails is passed over as one at which nobody listens.
async fn direct(
    addresses: impl IntoIterator<Item = SocketAddr>,
    tls: Option<(&TlsConnector, &ServerName<'static>)>,
    lacking: &OnceLock<Shortage>,
) -> io::Result<Box<dyn Stream>> {
    dial(addresses, async |address| secured(connected(address, lacking).await?, tls).await).await
}

async fn connected(address: SocketAddr, lacking: &OnceLock<Shortage>) -> io::Result<Box<dyn Stream>> {
    let stream = TcpStream::connect(address).await.inspect_err(|error| {
        if let Some(shortage) = Shortage::of_connect(error, address) {
            lacking.get_or_init(|| shortage);
        }
    })?;
    stream.set_nodelay(true)?;
    Ok(Box::new(stream))
}

async fn secured(
    stream: Box<dyn Stream>,
    tls: Option<(&TlsConnector, &ServerName<'static>)>,
) -> io::Result<Box<dyn Stream>> {
    match tls {
        Some((connector, name)) => Ok(Box::new(connector.connect(name.clone(), stream).await?)),
        None => Ok(stream),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::ServerConfig;
    use rustls::crypto::ring;
    use std::sync::Arc;
    use std::time::Duration;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use tokio_rustls::TlsAcceptor;

    /// What an address of the host does once it is connected to.
    enum Host {
        Answers(TlsAcceptor),
        SpeaksNoTls,
        SaysNothing,
    }

    async fn host(kind: Host) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            match kind {
                Host::Answers(acceptor) => {
                    let Ok(mut stream) = acceptor.accept(stream).await else { return };
                    stream.write_all(b"here").await.unwrap();
                    let _ = stream.read(&mut [0]).await;
                }
                Host::SpeaksNoTls => {
                    let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
                    let _ = stream.read(&mut [0; 4096]).await;
                }
                Host::SaysNothing => {
                    let mut rest = Vec::new();
                    let _ = stream.read_to_end(&mut rest).await;
                }
            }
        });
        address
    }

    fn acceptor(made: &rcgen::CertifiedKey<rcgen::KeyPair>) -> TlsAcceptor {
        let key = made.signing_key.serialize_der().try_into().unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .unwrap();
        Arc::new(config).into()
    }

    #[tokio::test]
    async fn an_address_where_tls_fails_is_passed_over() {
        let certified = || rcgen::generate_simple_self_signed(["app.example".to_owned()]).unwrap();
        let (trusted, stranger) = (certified(), certified());
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.pem");
        std::fs::write(&path, trusted.cert.pem()).unwrap();
        let tls = Tls::read(Some(&path), None).unwrap();
        let name = ServerName::try_from("app.example").unwrap();
        let tls = Some((tls.connector().unwrap(), &name));
        for first in [Host::SpeaksNoTls, Host::SaysNothing, Host::Answers(acceptor(&stranger))] {
            let addresses = [host(first).await, host(Host::Answers(acceptor(&trusted))).await];
            let opened = tokio::time::timeout(Duration::from_secs(20), direct(addresses, tls, &OnceLock::new())).await;
            let mut found = [0; 4];
            opened.expect("it is connected").unwrap().read_exact(&mut found).await.unwrap();
            assert_eq!(&found, b"here");
        }
        let addresses = [host(Host::SpeaksNoTls).await, host(Host::Answers(acceptor(&stranger))).await];
        let Err(error) = direct(addresses, tls, &OnceLock::new()).await else { panic!("nobody there is trusted") };
        assert!(error.get_ref().is_some_and(|cause| cause.is::<rustls::Error>()), "{error:?}");
    }
}
