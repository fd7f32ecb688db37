//! Lets browsers in: others are led to sign in, or told why not.

use super::page::Problem;
use crate::access::{Gate, Surface};
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderMap, HeaderValue, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderName, Method, StatusCode, Uri};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

/// Nothing from elsewhere, nothing inline, and in no frame.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
    form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// Tells handlers the [`Caller`](crate::access::Caller).
pub(super) async fn let_in(State(gate): State<Gate>, mut request: Request, next: Next) -> Response {
    let root = root_of(request.uri());
    match gate.admit(Surface::Page, &request) {
        Ok(caller) => {
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
        Err(denied) if denied.status == StatusCode::UNAUTHORIZED && request.method() == Method::GET => {
            let place = request.uri().path_and_query().map_or("", |place| place.as_str());
            let place = utf8_percent_encode(place.trim_start_matches("/ui/"), NON_ALPHANUMERIC);
            Redirect::to(&format!("{root}sign-in?to={place}")).into_response()
        }
        Err(denied) => Problem::new(denied.status, denied.message, root).into_response(),
    }
}

/// What every answer under `ui/` says to the browser.
pub(super) async fn protect(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    protected(response.headers_mut());
    response
}

fn protected(headers: &mut HeaderMap) {
    // A style sheet says itself how long it may be kept.
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    headers.entry(CONTENT_SECURITY_POLICY).or_insert(HeaderValue::from_static(POLICY));
    for (name, value) in [
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        // With `no-referrer`, browsers send `Origin: null` with our own forms.
        (REFERRER_POLICY, "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
}

/// From a page to `ui/`.
pub(super) fn root_of(uri: &Uri) -> &'static str {
    match uri.path().trim_start_matches("/ui/").matches('/').count() {
        0 => "",
        1 => "../",
        _ => "../../",
    }
}
