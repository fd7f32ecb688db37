//! Refused requests to keep.

use crate::headers::Headers;
use crate::time::Moment;
use bytes::Bytes;
use std::fmt;
use std::sync::Arc;

/// A request that was refused. `Debug` shows the length of its body only.
#[derive(Clone, PartialEq, Eq)]
pub struct NewRefused {
    /// When, by the clock of the receiver that refused it.
    pub at: Moment,
    /// The endpoint that refused it; none: the path names no endpoint.
    pub endpoint: Option<Arc<str>>,
    /// The reason as a stable code: `signature_mismatch`, `too_large`...
    pub code: &'static str,
    /// The reason as a sentence.
    pub reason: Box<str>,
    /// The status of the answer.
    pub status: u16,
    /// The request's method.
    pub method: Box<str>,
    /// The request's path, without its query.
    pub path: Box<str>,
    /// The address of the sender's connection.
    pub remote: Box<str>,
    /// The request's headers, without credentials.
    pub headers: Headers,
    /// The first bytes of its body, as far as it was read.
    pub body: Bytes,
    /// The number of bytes of its body that were read.
    pub body_length: u64,
}

impl fmt::Debug for NewRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewRefused")
            .field("at", &self.at)
            .field("endpoint", &self.endpoint)
            .field("code", &self.code)
            .field("status", &self.status)
            .field("headers", &self.headers)
            .field("body_length", &self.body_length)
            .finish_non_exhaustive()
    }
}
