//! Requests as Pylon sends them, signed or not.

use crate::arrival::{SIGNATURE_HEADER, TIMESTAMP_HEADER};
use crate::secret::Secret;
use crate::signature::sign;

/// The headers of a signed delivery. A timestamp, in Unix seconds, is signed as well.
///
/// ```
/// use pylon_webhooks::{Secret, testing::signed_headers};
///
/// let headers = signed_headers(&Secret::new("test-secret")?, br#"{"id":"1"}"#, None);
/// assert_eq!(headers[0].0, "X-Pylon-Signature");
/// assert!(headers[0].1.starts_with("b6ee61d2"));
/// # Ok::<(), pylon_webhooks::ConfigError>(())
/// ```
pub fn signed_headers(secret: &Secret, body: &[u8], timestamp: Option<u64>) -> Vec<(String, String)> {
    let timestamp = timestamp.map(|timestamp| timestamp.to_string());
    let mut headers = vec![(SIGNATURE_HEADER.into(), sign(secret, body, timestamp.as_deref()))];
    headers.extend(timestamp.map(|timestamp| (TIMESTAMP_HEADER.into(), timestamp)));
    headers
}

/// A request to an app under test: by default an unsigned POST of JSON to `/webhook`.
///
/// ```
/// use pylon_webhooks::{Secret, testing::WebhookRequest};
///
/// let forged = WebhookRequest::new("{}").signed(&Secret::new("another-secret")?);
/// assert_eq!((forged.method.as_str(), forged.path.as_str()), ("POST", "/webhook"));
/// assert_eq!(forged.headers.len(), 2);
/// # Ok::<(), pylon_webhooks::ConfigError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
#[non_exhaustive]
pub struct WebhookRequest {
    /// The method.
    pub method: String,
    /// The path.
    pub path: String,
    /// The headers, names and values.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl WebhookRequest {
    /// An unsigned request with this body.
    pub fn new(body: impl Into<Vec<u8>>) -> Self {
        let headers = vec![("Content-Type".into(), "application/json".into())];
        Self { method: "POST".into(), path: "/webhook".into(), headers, body: body.into() }
    }

    /// Signs the body, as Pylon does.
    pub fn signed(mut self, secret: &Secret) -> Self {
        self.headers.extend(signed_headers(secret, &self.body, None));
        self
    }

    /// Signs the body and a timestamp, in Unix seconds.
    pub fn signed_at(mut self, secret: &Secret, timestamp: u64) -> Self {
        self.headers.extend(signed_headers(secret, &self.body, Some(timestamp)));
        self
    }

    /// Adds a header.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Sets the path.
    pub fn to(mut self, path: impl Into<String>) -> Self {
        self.path = path.into();
        self
    }

    /// The headers as [`handle_headers`](crate::WebhookHandler::handle_headers) takes them.
    pub fn header_pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

/// The request for axum and tower, with any body type that bytes convert into.
///
/// # Panics
/// When the method, the path or a header is not valid HTTP.
#[cfg(feature = "tower")]
impl<B: From<Vec<u8>>> From<WebhookRequest> for http::Request<B> {
    fn from(request: WebhookRequest) -> Self {
        let mut builder = http::Request::builder().method(request.method.as_str()).uri(&request.path);
        for (name, value) in &request.headers {
            builder = builder.header(name, value);
        }
        builder.body(request.body.into()).expect("a test's method, path and headers must be valid HTTP")
    }
}
