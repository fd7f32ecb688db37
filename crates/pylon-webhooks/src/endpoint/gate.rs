//! What is refused before a signature is looked at: a method other than POST, a body that is too large or not all there.

use super::outcome::Outcome;
use std::fmt;

/// The largest body that is accepted unless configured: 1 MiB, in bytes.
pub const DEFAULT_BODY_LIMIT: usize = 1024 * 1024;

/// Looks at a request's method and size; the first of these is told before its body is read.
///
/// ```
/// use pylon_webhooks::{Gate, RequestFault};
///
/// let gate = Gate { body_limit: 1000 };
/// assert_eq!(gate.admit("GET", None), Err(RequestFault::Method));
/// assert_eq!(gate.admit("POST", Some(1001)), Err(RequestFault::TooLarge { limit: 1000 }));
/// assert_eq!(gate.check_length(Some(10), 7), Err(RequestFault::Incomplete { expected: 10, found: 7 }));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gate {
    /// The largest body that is accepted, in bytes.
    pub body_limit: usize,
}

impl Default for Gate {
    fn default() -> Self {
        Self { body_limit: DEFAULT_BODY_LIMIT }
    }
}

impl Gate {
    /// What a `Content-Length` header declares, in bytes; none where it is not a number.
    pub fn content_length(value: &[u8]) -> Option<u64> {
        std::str::from_utf8(value).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))?.parse().ok()
    }

    /// Whether the body is worth reading, by the method and the length that the headers declare, in bytes.
    ///
    /// # Errors
    /// [`RequestFault::Method`], [`RequestFault::TooLarge`].
    pub fn admit(&self, method: &str, content_length: Option<u64>) -> Result<(), RequestFault> {
        if method != "POST" {
            return Err(RequestFault::Method);
        }
        match content_length {
            Some(length) if length > self.body_limit as u64 => Err(RequestFault::TooLarge { limit: self.body_limit }),
            _ => Ok(()),
        }
    }

    /// Whether the body that was read is all of it; lengths are in bytes. It may be longer than declared: what a server or
    /// middleware unpacked is.
    ///
    /// # Errors
    /// [`RequestFault::TooLarge`], [`RequestFault::Incomplete`].
    pub fn check_length(&self, content_length: Option<u64>, found: usize) -> Result<(), RequestFault> {
        if found > self.body_limit {
            return Err(RequestFault::TooLarge { limit: self.body_limit });
        }
        match content_length {
            Some(expected) if expected > found as u64 => Err(RequestFault::Incomplete { expected, found }),
            _ => Ok(()),
        }
    }
}

/// Why a request was refused before its signature was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum RequestFault {
    /// It is not a POST.
    Method,
    /// Its body is larger than the limit.
    TooLarge {
        /// The limit, in bytes.
        limit: usize,
    },
    /// Its body ended early.
    Incomplete {
        /// The length that the headers declare, in bytes.
        expected: u64,
        /// The length that was read, in bytes.
        found: usize,
    },
    /// Its body could not be read to the end.
    Broken,
    /// Its body had been read by something else in the app.
    Consumed,
}

impl RequestFault {
    /// What to answer.
    ///
    /// ```
    /// assert_eq!(pylon_webhooks::RequestFault::Method.outcome(), pylon_webhooks::Outcome::MethodNotAllowed);
    /// ```
    pub fn outcome(self) -> Outcome {
        match self {
            Self::Method => Outcome::MethodNotAllowed,
            Self::TooLarge { .. } => Outcome::TooLarge,
            Self::Incomplete { .. } | Self::Broken => Outcome::Unreadable,
            // The app's own fault: the sender may try again once it is mended.
            Self::Consumed => Outcome::Failed,
        }
    }
}

impl fmt::Display for RequestFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Method => f.write_str("wrong method: expected POST, found another"),
            Self::TooLarge { limit } => write!(f, "body too large: expected at most {limit} bytes, found more"),
            // A stranger can send such a request, so that it is not told as the app's fault; only an adapter can know that.
            Self::Incomplete { expected, found: 0 } => write!(
                f,
                "incomplete body: expected {expected} bytes, as the headers declare, found none; the sender hung up, or something \
                 before this had read them"
            ),
            Self::Incomplete { expected, found } => {
                write!(f, "incomplete body: expected {expected} bytes, as the headers declare, found {found}")
            }
            Self::Broken => f.write_str("incomplete body: the connection broke before its end"),
            Self::Consumed => f.write_str(
                "body consumed: expected the raw bytes, found that something before this had read them; keep middleware and \
                 form parsing away from this address",
            ),
        }
    }
}

impl std::error::Error for RequestFault {}
