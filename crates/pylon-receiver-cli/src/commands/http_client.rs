//! The HTTP client of the commands.

use super::fault::Fault;
use reqwest::Url;
use std::error::Error;
use std::time::Duration;

/// Longer than this no command waits for an answer, orders excepted.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Longer than this no command waits for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A client for that address: it follows no redirect, asks no proxy, and reads the system's certificates for `https:` alone.
pub(crate) fn http_client(url: &Url) -> Result<reqwest::Client, Fault> {
    // It fails when another provider is there already, which does as well.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut builder = reqwest::Client::builder()
        .user_agent(concat!("pylon-receiver/", env!("CARGO_PKG_VERSION")))
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

/// Reads an address on the command line.
pub(crate) fn parse_url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    let url = url.ok_or("expected a URL such as http://127.0.0.1:8080/webhook")?;
    if url.username().is_empty() && url.password().is_none() {
        Ok(url)
    } else {
        Err("expected a URL without a user and password, which everybody on the machine could read".into())
    }
}

/// What an HTTP error comes down to.
pub(crate) fn cause(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "it took too long".into();
    }
    let mut cause: &dyn Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}
