//! The HTTP client of all commands.

use crate::fault::Fault;
use pylon_receiver::tls_cause;
use reqwest::Url;
use std::error::Error;
use std::time::Duration;

/// What commands call themselves.
pub(crate) const NAME: &str = concat!("pylon-receiver/", env!("CARGO_PKG_VERSION"));
/// How long a command waits for an answer, except for orders.
const TIMEOUT: Duration = Duration::from_secs(30);
/// How long a command waits for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A client for this URL: without redirects or proxies, and with the system's certificates for `https:` only.
pub(crate) fn http_client(url: &Url) -> Result<reqwest::Client, Fault> {
    // Fails if a provider is installed already, which is fine.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut builder = reqwest::Client::builder()
        .user_agent(NAME)
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .no_proxy()
        .timeout(TIMEOUT)
        .connect_timeout(CONNECT_TIMEOUT);
    if url.scheme() == "http" {
        builder = builder.tls_certs_only([]);
    }
    builder.build().map_err(|error| Fault::failed(format!("no HTTP client can be made: {}", cause(&error))))
}

/// Reads a URL on the command line.
pub(crate) fn parse_url(text: &str) -> Result<Url, String> {
    let url = pylon_receiver::text::parse_url(text)?.to_string();
    Url::parse(&url).map_err(|_| "expected a URL with a valid host, found something else".to_owned())
}

/// Whether nothing answers there: a server that fails at TLS does.
pub(crate) fn is_unconnected(error: &reqwest::Error) -> bool {
    error.is_connect() && tls_cause(error).is_none()
}

/// The cause of an HTTP error.
pub(crate) fn cause(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "it took too long".into();
    }
    if let Some(cause) = tls_cause(error) {
        return cause.into();
    }
    let mut cause: &dyn Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}
