//! A forward proxy: what it is asked to open a way to a server, and how it is asked.

use super::stream::Stream;
use super::unanswered::ProxyFault;
use crate::config::{SecretFault, SecretSource};
use crate::text::parse_proxy;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{HOST, PROXY_AUTHORIZATION};
use http::uri::Authority;
use http::{HeaderValue, Method, Request, Uri};
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use percent_encoding::percent_decode_str;
use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::task::Poll;
use zeroize::Zeroizing;

/// The port of a proxy that names none.
const DEFAULT_PORT: u16 = 80;

/// A proxy with its credentials.
pub(super) struct Proxy {
    pub(super) host: Box<str>,
    pub(super) port: u16,
    /// The value of `Proxy-Authorization`.
    pub(super) authorization: Option<HeaderValue>,
}

impl Proxy {
    /// Reads the proxy's URL.
    ///
    /// # Errors
    /// [`SecretFault`]: it is missing or malformed.
    pub(super) fn read(source: &SecretSource) -> Result<Self, SecretFault> {
        const EXPECTED: &str = "the URL of a proxy such as `http://user:password@127.0.0.1:3128`";
        let text = source.read()?;
        let text = std::str::from_utf8(&text).map_err(|_| SecretFault::Malformed(EXPECTED))?;
        let url = parse_proxy(text).map_err(|_| SecretFault::Malformed(EXPECTED))?;
        let authority = url.authority().ok_or(SecretFault::Malformed(EXPECTED))?;
        Ok(Self {
            host: authority.host().trim_matches(['[', ']']).into(),
            port: authority.port_u16().unwrap_or(DEFAULT_PORT),
            authorization: authorization(authority),
        })
    }

    /// Has the proxy connect to a server, and gives the connection.
    ///
    /// # Errors
    /// A [`ProxyFault`] within an I/O error.
    pub(super) async fn tunnel(&self, stream: Box<dyn Stream>, target: &Authority) -> io::Result<Box<dyn Stream>> {
        self.connect(stream, target).await.map_err(io::Error::other)
    }

    async fn connect(&self, stream: Box<dyn Stream>, target: &Authority) -> Result<Box<dyn Stream>, ProxyFault> {
        let (mut requests, mut connection) = http1::handshake(TokioIo::new(stream)).await.map_err(ProxyFault::Http)?;
        let mut answer = pin!(requests.send_request(self.request(target)));
        let mut ended = None;
        let answer = poll_fn(|context| {
            if ended.is_none()
                && let Poll::Ready(end) = connection.poll_without_shutdown(context)
            {
                ended = Some(end);
            }
            answer.as_mut().poll(context)
        });
        let status = answer.await.map_err(ProxyFault::Http)?.status();
        if !status.is_success() {
            return Err(ProxyFault::Refused(status));
        }
        match ended {
            Some(end) => end,
            None => poll_fn(|context| connection.poll_without_shutdown(context)).await,
        }
        .map_err(ProxyFault::Http)?;
        let parts = connection.into_parts();
        // With TLS, the client speaks first.
        if !parts.read_buf.is_empty() {
            return Err(ProxyFault::Spoke);
        }
        Ok(parts.io.into_inner())
    }

    fn request(&self, target: &Authority) -> Request<Empty<Bytes>> {
        let mut request = Request::new(Empty::new());
        *request.method_mut() = Method::CONNECT;
        *request.uri_mut() = Uri::from(target.clone());
        let host = HeaderValue::from_str(target.as_str()).expect("an authority is visible ASCII");
        request.headers_mut().insert(HOST, host);
        if let Some(authorization) = &self.authorization {
            request.headers_mut().insert(PROXY_AUTHORIZATION, authorization.clone());
        }
        request
    }
}

/// The value of the header for the user and the password before the `@`.
fn authorization(authority: &Authority) -> Option<HeaderValue> {
    let (credentials, _) = authority.as_str().rsplit_once('@')?;
    let mut credentials: Zeroizing<Vec<u8>> = Zeroizing::new(percent_decode_str(credentials).collect());
    if !credentials.contains(&b':') {
        credentials.push(b':');
    }
    let text = Zeroizing::new(format!("Basic {}", STANDARD.encode(&*credentials)));
    let mut value = HeaderValue::from_str(&text).expect("base64 is visible ASCII");
    value.set_sensitive(true);
    Some(value)
}
