//! Why a request is not let in.

use http::StatusCode;
use std::borrow::Cow;

/// A request that is not let in.
#[derive(Debug)]
pub(crate) struct Denied {
    /// 401, 403 or 415.
    pub(crate) status: StatusCode,
    /// A stable code.
    pub(crate) code: &'static str,
    /// One sentence: what was expected, what was found, what to do.
    pub(crate) message: Cow<'static, str>,
}

impl Denied {
    /// 401: no token, or a wrong one.
    pub(super) fn unauthorized() -> Self {
        let message = "unauthorized: expected the header `authorization: Bearer` with the admin token, found another or none; present the token";
        Self { status: StatusCode::UNAUTHORIZED, code: "unauthorized", message: message.into() }
    }

    /// 403: not from there.
    pub(super) fn forbidden(message: impl Into<Cow<'static, str>>) -> Self {
        Self { status: StatusCode::FORBIDDEN, code: "forbidden", message: message.into() }
    }

    /// 415: not in that form.
    pub(super) fn unsupported(message: impl Into<Cow<'static, str>>) -> Self {
        let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        Self { status, code: "unsupported_media_type", message: message.into() }
    }
}
