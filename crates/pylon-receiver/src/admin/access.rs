//! Who may read and order.

use super::answer::Refusal;
use crate::metrics::{AdminAccess, Metrics};
use crate::rate::Rate;
use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, HOST, HeaderValue, ORIGIN, X_CONTENT_TYPE_OPTIONS};
use http::uri::Authority;
use http::{HeaderMap, HeaderName, Method, StatusCode};
use sha2::{Digest, Sha256};
use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// Who may read and order.
#[derive(Clone)]
pub enum Access {
    /// Everybody on this machine, as the peer's address says, but no web page that is open there: a request has to name a loopback
    /// host and must not come from a page of another host or through a proxy. An order has to be JSON, which no form can send.
    Loopback,
    /// Callers with this token: `authorization: Bearer TOKEN`. `/livez` and `/readyz` need no token, but without it `/readyz`
    /// does not say why the receiver is not ready.
    Token(Zeroizing<Vec<u8>>),
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Loopback => "Loopback",
            Self::Token(_) => "Token([redacted])",
        })
    }
}

/// The caller, as a handler finds it in the request's extensions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Caller {
    /// May read and order everything.
    Operator,
    /// May know whether the receiver is ready, and nothing else.
    Anybody,
}

/// Puts the rule in front of the router. No cache may keep an answer, and no browser may guess its type.
pub(super) fn guard(router: Router, access: Access, metrics: Arc<Metrics>) -> Router {
    let rule = match access {
        Access::Loopback => Rule::Loopback,
        Access::Token(token) => Rule::Token(Arc::new(TokenRule {
            digest: Sha256::digest(&*token).into(),
            warnings: Mutex::new(Rate::new(WARNINGS_PER_SECOND, Instant::now())),
        })),
    };
    router.layer(from_fn_with_state((rule, metrics), apply))
}

const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
/// What proxies add to a request that they pass on.
const PROXY_HEADERS: [&str; 5] = ["forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via"];
/// Guessed tokens must not fill the disk with log lines.
const WARNINGS_PER_SECOND: f64 = 1.0;

#[derive(Clone)]
enum Rule {
    Loopback,
    Token(Arc<TokenRule>),
}

struct TokenRule {
    /// The token's digest: digests have one length, so a comparison in constant time leaks nothing.
    digest: [u8; 32],
    warnings: Mutex<Rate>,
}

async fn apply(State((rule, metrics)): State<(Rule, Arc<Metrics>)>, mut request: Request, next: Next) -> Response {
    let checked = check_site(request.headers()).and_then(|()| match &rule {
        Rule::Loopback => check_loopback(&request).map(|()| AdminAccess::Granted),
        Rule::Token(token) => Ok(token.check(&request)),
    });
    metrics.admin_request(*checked.as_ref().unwrap_or(&AdminAccess::Forbidden));
    let verdict = checked.and_then(|access| match access {
        AdminAccess::Granted => Ok(Caller::Operator),
        // Everybody may know whether the receiver is ready.
        _ if is_probe(&request) => Ok(Caller::Anybody),
        _ => Err(Refusal::unauthorized()),
    });
    let mut response = match verdict {
        Ok(caller) => {
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
        Err(refusal) => refusal.into_response(),
    };
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

impl TokenRule {
    fn check(&self, request: &Request) -> AdminAccess {
        let access = match request.headers().contains_key(AUTHORIZATION) {
            false if is_probe(request) => return AdminAccess::Probe,
            false => AdminAccess::NoToken,
            true => match only(request.headers(), &AUTHORIZATION).and_then(bearer) {
                Some(token) if self.is(token) => return AdminAccess::Granted,
                _ => AdminAccess::WrongToken,
            },
        };
        self.warn(request.extensions().get());
        access
    }

    fn is(&self, token: &[u8]) -> bool {
        let digest: [u8; 32] = Sha256::digest(token).into();
        digest.ct_eq(&self.digest).into()
    }

    fn warn(&self, remote: Option<&SocketAddr>) {
        let mut warnings = self.warnings.lock().unwrap_or_else(PoisonError::into_inner);
        if warnings.available(Instant::now()) > 0 {
            warnings.take(1);
            let remote = remote.map(tracing::field::display);
            tracing::warn!(remote, "the admin API was asked with another token, or without one");
        }
    }
}

fn is_probe(request: &Request) -> bool {
    matches!(request.uri().path(), "/livez" | "/readyz")
}

fn bearer(value: &HeaderValue) -> Option<&[u8]> {
    let (scheme, token) = value.as_bytes().split_at_checked("Bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"Bearer ").then_some(token)
}

/// A page can send a request without an origin, for an image for instance; browsers then name the site of the page.
fn check_site(headers: &HeaderMap) -> Result<(), Refusal> {
    let is_own = |site: &HeaderValue| site == "same-origin" || site == "none";
    if headers.contains_key(FETCH_SITE) && !only(headers, &FETCH_SITE).is_some_and(is_own) {
        let message = "forbidden site: expected same-origin, none or no header sec-fetch-site, found another value; no other page may ask";
        return Err(Refusal::new(StatusCode::FORBIDDEN, "forbidden", message));
    }
    Ok(())
}

fn check_loopback(request: &Request) -> Result<(), Refusal> {
    let headers = request.headers();
    // Whatever a listener lets in: without a known address nobody is from here.
    let remote = request.extensions().get().map(|remote: &SocketAddr| remote.ip().to_canonical());
    if !remote.is_some_and(|address| address.is_loopback()) {
        let message = "forbidden peer: expected a connection from this machine, found another; set admin_token to be asked from elsewhere";
        return Err(Refusal::new(StatusCode::FORBIDDEN, "forbidden", message));
    }
    // DNS rebinding: a page under a foreign name that resolves to 127.0.0.1 sends that name here.
    let host = only(headers, &HOST).and_then(|value| value.to_str().ok());
    let is_named_so = request.uri().authority().is_none_or(|authority| is_loopback(authority.as_str()));
    let Some(host) = host.filter(|host| is_named_so && is_loopback(host)) else {
        let message = "forbidden host: expected localhost or a loopback address in the header host, found another or none; ask by such a name, or set an admin token";
        return Err(Refusal::new(StatusCode::FORBIDDEN, "forbidden", message));
    };
    // The client of a proxy may be on another machine.
    if let Some(name) = PROXY_HEADERS.iter().find(|&&name| headers.contains_key(name)) {
        let message = format!(
            "forbidden proxy: expected a request straight from this machine, found the header {name}; set admin_token to be asked through a proxy"
        );
        return Err(Refusal::new(StatusCode::FORBIDDEN, "forbidden", message));
    }
    if headers.contains_key(ORIGIN) && !only(headers, &ORIGIN).is_some_and(|origin| is_page_of(origin, host)) {
        let message = "forbidden origin: expected none or that of this host in the header origin, found another; no other page may ask";
        return Err(Refusal::new(StatusCode::FORBIDDEN, "forbidden", message));
    }
    if request.method() == Method::POST && !only(headers, &CONTENT_TYPE).is_some_and(is_json) {
        let message = "unsupported content type: expected application/json, found another or none";
        return Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", message));
    }
    Ok(())
}

/// The value of a header that occurs once.
fn only<'r>(headers: &'r HeaderMap, name: &HeaderName) -> Option<&'r HeaderValue> {
    let mut values = headers.get_all(name).iter();
    values.next().filter(|_| values.next().is_none())
}

fn is_loopback(host: &str) -> bool {
    let Ok(authority) = host.parse::<Authority>() else { return false };
    let name = authority.host();
    let is_address = match name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(inner) => inner.parse().is_ok_and(|address: Ipv6Addr| address.is_loopback()),
        None => name.parse().is_ok_and(|address: Ipv4Addr| address.is_loopback()),
    };
    !host.contains('@') && (is_address || name.eq_ignore_ascii_case("localhost"))
}

fn is_page_of(origin: &HeaderValue, host: &str) -> bool {
    let origin = origin.to_str().unwrap_or_default();
    let authority = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
    authority.is_some_and(|authority| authority.eq_ignore_ascii_case(host))
}

fn is_json(content_type: &HeaderValue) -> bool {
    let essence = content_type.to_str().unwrap_or_default().split(';').next().unwrap_or_default();
    essence.trim().eq_ignore_ascii_case("application/json")
}
