//! The gate that every request of an operator passes.

use super::caller::Caller;
use super::denied::Denied;
use super::operators::Access;
use super::surface::Surface;
use super::token::{KnownOperator, KnownOperators, Shown};
use super::{loopback, site};
use crate::metrics::{AdminAccess, Metrics};
use crate::rate::Rate;
use crate::time::WallClock;
use axum::extract::Request;
use http::header::{HeaderMap, ORIGIN};
use http::{Method, Uri};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// Guessed tokens must not fill the disk with log lines.
const WARNINGS_PER_SECOND: f64 = 1.0;

/// The rule of who is let in, where.
#[derive(Clone)]
pub(crate) struct Gate(Arc<Inner>);

struct Inner {
    rule: Rule,
    /// Where operators find the page, behind a proxy.
    public_url: Option<Uri>,
    metrics: Arc<Metrics>,
    clock: Arc<dyn WallClock>,
    warnings: Mutex<Rate>,
}

enum Rule {
    Loopback,
    Tokens(KnownOperators),
}

impl Gate {
    /// A gate for these operators.
    pub(crate) fn new(
        access: Access,
        public_url: Option<Uri>,
        metrics: Arc<Metrics>,
        clock: Arc<dyn WallClock>,
    ) -> Self {
        let rule = match access {
            Access::Loopback => Rule::Loopback,
            Access::Tokens(operators) => Rule::Tokens(KnownOperators::new(operators)),
        };
        let warnings = Mutex::new(Rate::new(WARNINGS_PER_SECOND, Instant::now()));
        Self(Arc::new(Inner { rule, public_url, metrics, clock, warnings }))
    }

    /// Whether operators have to sign in.
    pub(crate) fn has_sessions(&self) -> bool {
        matches!(self.0.rule, Rule::Tokens(_))
    }

    /// Who asks, if the request is let in.
    pub(crate) fn admit(&self, surface: Surface, request: &Request) -> Result<Caller, Denied> {
        let judged = self.judge(surface, request);
        self.0.metrics.admin_request(judged.as_ref().map_or(AdminAccess::Forbidden, |(access, _)| *access));
        let (access, caller) = judged?;
        match access {
            AdminAccess::NoToken | AdminAccess::WrongToken => self.warn(request.extensions().get()),
            _ => {}
        }
        let is_order = !matches!(*request.method(), Method::GET | Method::HEAD);
        match caller {
            // Everybody may know whether the receiver is ready.
            Caller::Anybody if surface == Surface::Page || !is_probe(request) => Err(Denied::unauthorized()),
            // Whatever a page shows: no handler of an order is reached.
            caller if is_order && !caller.may_order() => Err(Denied::forbidden(
                "forbidden order: expected an operator, found a reader, who gives no orders; sign in as an operator",
            )),
            caller => Ok(caller),
        }
    }

    fn judge(&self, surface: Surface, request: &Request) -> Result<(AdminAccess, Caller), Denied> {
        let headers = request.headers();
        site::check(surface, request.method(), headers, self.public_host())?;
        match &self.0.rule {
            Rule::Loopback => {
                loopback::check(request)?;
                if surface == Surface::Api {
                    site::check_without_token(request.method(), headers)?;
                }
                Ok((AdminAccess::Granted, Caller::Local))
            }
            Rule::Tokens(operators) => Ok(match self.shown(operators, surface, headers) {
                Shown::Token(operator) => (AdminAccess::Granted, operator.caller_of(headers)),
                Shown::Session(operator) => (AdminAccess::Granted, operator.caller()),
                Shown::Another => (AdminAccess::WrongToken, Caller::Anybody),
                Shown::Nothing if is_probe(request) => (AdminAccess::Probe, Caller::Anybody),
                Shown::Nothing => (AdminAccess::NoToken, Caller::Anybody),
            }),
        }
    }

    /// The API takes no cookies: a browser sends them by itself.
    fn shown<'o>(&self, operators: &'o KnownOperators, surface: Surface, headers: &HeaderMap) -> Shown<'o> {
        match operators.by_header(headers) {
            Shown::Nothing if surface == Surface::Page => operators.by_session(headers, self.0.clock.now()),
            shown => shown,
        }
    }

    /// Checks a form that signs in or out, which needs no caller.
    pub(crate) fn check_form(&self, request: &Request) -> Result<(), Denied> {
        site::check(Surface::Page, request.method(), request.headers(), self.public_host())?;
        if matches!(self.0.rule, Rule::Loopback) { loopback::check(request) } else { Ok(()) }
    }

    /// The header `set-cookie` that begins a session of the operator with this token; none: nobody has it.
    pub(crate) fn sign_in(&self, token: &[u8], headers: &HeaderMap, remote: Option<&SocketAddr>) -> Option<String> {
        let Rule::Tokens(operators) = &self.0.rule else { return None };
        let operator = operators.by_token(token);
        let access = if operator.is_some() { AdminAccess::Granted } else { AdminAccess::WrongToken };
        self.0.metrics.admin_request(access);
        if operator.is_none() {
            self.warn(remote);
        }
        operator.map(|operator| operator.session().begin(self.0.clock.now(), self.is_https(headers)))
    }

    /// The headers `set-cookie` that end the sessions of a browser.
    pub(crate) fn sign_out(&self) -> Vec<String> {
        match &self.0.rule {
            Rule::Loopback => Vec::new(),
            Rule::Tokens(operators) => operators.iter().map(KnownOperator::session).map(|key| key.end()).collect(),
        }
    }

    fn public_host(&self) -> Option<&str> {
        Some(self.0.public_url.as_ref()?.authority()?.as_str())
    }

    /// Whether the browser came by HTTPS, as far as anything says so.
    fn is_https(&self, headers: &HeaderMap) -> bool {
        let is_public = self.0.public_url.as_ref().is_some_and(|url| url.scheme_str() == Some("https"));
        is_public || headers.get(ORIGIN).is_some_and(|origin| origin.as_bytes().starts_with(b"https://"))
    }

    fn warn(&self, remote: Option<&SocketAddr>) {
        let mut warnings = self.0.warnings.lock().unwrap_or_else(PoisonError::into_inner);
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
