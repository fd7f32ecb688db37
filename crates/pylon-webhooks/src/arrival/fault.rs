//! Why a request is refused before its signature is checked.

use std::fmt;

/// Why a request was refused before its signature was checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum RequestFault {
    /// It is not a POST, PUT or PATCH.
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
    /// Its body could not be read to the end, and the server may have failed to unpack it.
    BrokenEncoded {
        /// The `Content-Encoding`.
        name: &'static str,
    },
    /// Something else in the app had already read its body.
    Consumed,
    /// The server gave the app no body: neither its length nor its end. Only an adapter can know that.
    LengthRequired,
}

impl fmt::Display for RequestFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Method => f.write_str(
                "wrong method: expected POST, PUT or PATCH, found another; choose POST as the method of the webhook in Pylon",
            ),
            Self::TooLarge { limit } => write!(f, "body too large: expected at most {limit} bytes, found more"),
            // Anyone can send such a request, so it is not reported as the app's fault. Only an adapter can know that.
            Self::Incomplete { expected, found: 0 } => write!(
                f,
                "incomplete body: expected {expected} bytes, as the headers declare, found none; the sender \
                 disconnected, or something else read the body first"
            ),
            Self::Incomplete { expected, found } => {
                write!(f, "incomplete body: expected {expected} bytes, as the headers declare, found {found}")
            }
            Self::Broken => f.write_str("incomplete body: the connection closed before the end of the body"),
            Self::BrokenEncoded { name } => write!(
                f,
                "incomplete body: the connection closed before the end of the body, or the server could not unpack it \
                 (Content-Encoding: {name})"
            ),
            Self::Consumed => f.write_str(
                "body already read: something else in the app read the body first; keep middleware and form parsing \
                 away from this path",
            ),
            Self::LengthRequired => f.write_str(
                "missing length: the server gave the app no body, since the request has no Content-Length and this server \
                 does not say where such a body ends (wsgi.input_terminated); use a server that does, such as gunicorn, \
                 or put one in front that buffers requests, such as nginx",
            ),
        }
    }
}

impl std::error::Error for RequestFault {}
