//! A page as an answer.

use super::filters;
use super::frame::Frame;
use crate::admin::Refusal;
use askama::Template;
use axum::response::{Html, IntoResponse, Response};
use http::StatusCode;
use http::header::{ETAG, HeaderMap, HeaderValue, IF_NONE_MATCH};
use sha2::digest::Output;
use sha2::{Digest, Sha256};

/// The answer to a request for a page.
pub(super) type Answer = Result<Response, Problem>;

/// The page that the template makes. Whoever has it already is told so, and nothing else.
pub(super) fn page(template: &impl Template, headers: &HeaderMap) -> Answer {
    answer(template, headers, |html| Sha256::digest(html))
}

/// The same, of a page whose forms have this key, which each copy of the page has another of: that alone makes no new page.
pub(super) fn page_with_key(template: &impl Template, headers: &HeaderMap, key: &str) -> Answer {
    answer(template, headers, |html| Sha256::digest(html.replace(key, "")))
}

fn answer(template: &impl Template, headers: &HeaderMap, digest: impl FnOnce(&str) -> Output<Sha256>) -> Answer {
    let html = template.render().map_err(|_| Problem::internal())?;
    let digest = digest(&html);
    let tag = format!("\"{:x}\"", u64::from_be_bytes(digest[..8].try_into().expect("a digest has 32 bytes")));
    let is_known = headers.get(IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == tag.as_bytes());
    let mut response = if is_known { StatusCode::NOT_MODIFIED.into_response() } else { Html(html).into_response() };
    response.headers_mut().insert(ETAG, HeaderValue::try_from(tag).expect("hexadecimal digits are valid"));
    Ok(response)
}

/// A request that has no page as its answer.
#[derive(Debug)]
pub(super) struct Problem {
    status: StatusCode,
    message: String,
    /// From the page to `ui/`.
    root: &'static str,
}

impl Problem {
    /// This status and sentence, for a page at this depth.
    pub(super) fn new(status: StatusCode, message: impl Into<String>, root: &'static str) -> Self {
        Self { status, message: message.into(), root }
    }

    fn internal() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "the page cannot be written; the log says why", "")
    }

    /// The same, for a page below `ui/`.
    pub(super) fn below(self) -> Self {
        Self { root: "../", ..self }
    }

    /// The same, for an address one level further down.
    pub(super) fn far_below(self) -> Self {
        Self { root: "../../", ..self }
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let (status, message) = refusal.into_parts();
        Self::new(status, message, "")
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let title = match self.status {
            StatusCode::NOT_FOUND => "Not found",
            StatusCode::FORBIDDEN => "Not allowed",
            StatusCode::SERVICE_UNAVAILABLE => "The ledger does not answer",
            _ => "That does not work",
        };
        let page = ProblemPage { frame: Frame::bare(self.root), title, message: &self.message };
        let html = page.render().unwrap_or_else(|_| self.message.clone());
        (self.status, Html(html)).into_response()
    }
}

#[derive(Template)]
#[template(path = "problem.html")]
struct ProblemPage<'p> {
    frame: Frame,
    title: &'p str,
    message: &'p str,
}
