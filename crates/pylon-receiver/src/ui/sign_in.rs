//! Signs a browser in and out.

use super::frame::{Frame, Ui};
use super::page::{Answer, Problem, page};
use crate::access::Gate;
use askama::Template;
use axum::extract::{Request, State};
use axum::response::{AppendHeaders, IntoResponse, Redirect};
use http::header::SET_COOKIE;
use http::{HeaderMap, StatusCode, Uri};
use http_body_util::{BodyExt, Limited};
use std::net::SocketAddr;
use std::sync::Arc;

/// The longest form, in bytes.
const LONGEST: usize = 16 * 1024;

#[derive(Template)]
#[template(path = "sign_in.html")]
struct SignIn {
    frame: Frame,
    instance: Arc<str>,
    /// Where to go then, from `ui/`.
    to: String,
    fault: Option<&'static str>,
}

pub(super) async fn show(State((ui, gate)): State<(Ui, Gate)>, headers: HeaderMap, uri: Uri) -> Answer {
    if !gate.has_sessions() {
        return Ok(Redirect::to("./").into_response());
    }
    let to = value(uri.query().unwrap_or_default(), "to").unwrap_or_default();
    page(&form(&ui, to, None), &headers)
}

pub(super) async fn sign_in(State((ui, gate)): State<(Ui, Gate)>, request: Request) -> Answer {
    gate.check_form(&request).map_err(|denied| Problem::new(denied.status, denied.message, ""))?;
    let remote = request.extensions().get::<SocketAddr>().copied();
    let (parts, body) = request.into_parts();
    let body = Limited::new(body, LONGEST).collect().await.map_err(|_| {
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "the form is too large: expected a token, found more", "")
    })?;
    let body = String::from_utf8_lossy(&body.to_bytes()).into_owned();
    let token = value(&body, "token").unwrap_or_default();
    let to = value(&body, "to").unwrap_or_default();
    match gate.sign_in(token.trim().as_bytes(), &parts.headers, remote.as_ref()) {
        Some(cookie) => Ok((AppendHeaders([(SET_COOKIE, cookie)]), Redirect::to(inside(&to))).into_response()),
        None => {
            let fault = "This is not the token of an operator.";
            let answer = page(&form(&ui, to, Some(fault)), &HeaderMap::new())?;
            Ok((StatusCode::UNAUTHORIZED, answer).into_response())
        }
    }
}

pub(super) async fn sign_out(State((_, gate)): State<(Ui, Gate)>, request: Request) -> Answer {
    gate.check_form(&request).map_err(|denied| Problem::new(denied.status, denied.message, ""))?;
    let cookies: Vec<_> = gate.sign_out().into_iter().map(|cookie| (SET_COOKIE, cookie)).collect();
    Ok((AppendHeaders(cookies), Redirect::to("sign-in")).into_response())
}

fn form(ui: &Ui, to: String, fault: Option<&'static str>) -> SignIn {
    SignIn { frame: Frame::bare(""), instance: ui.identity.instance.clone(), to: inside(&to).to_owned(), fault }
}

/// A place under `ui/`, and nowhere else: whoever made the link must not lead a browser away.
fn inside(to: &str) -> &str {
    let path = to.split(['?', '#']).next().unwrap_or_default();
    let is_inside =
        path.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'-' | b'.' | b'_' | b'%'))
            && !path.starts_with('/')
            && !path.contains("//")
            && !path.contains("..")
            && to.bytes().all(|byte| byte.is_ascii_graphic());
    if is_inside && !to.is_empty() { to } else { "./" }
}

fn value(pairs: &str, name: &str) -> Option<String> {
    let mut pairs = pairs.split('&').filter_map(|pair| pair.split_once('='));
    let (_, value) = pairs.find(|(found, _)| *found == name)?;
    let spaced = value.replace('+', " ");
    Some(percent_encoding::percent_decode_str(&spaced).decode_utf8_lossy().into_owned())
}
