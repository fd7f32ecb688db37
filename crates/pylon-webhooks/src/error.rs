//! Every way in which a delivery can fail, each with a message that says what to do.

use crate::event::PayloadError;
use crate::failure::HandlerErrors;
use crate::freshness::TimestampFault;
use crate::hint::Hint;
use crate::signature::SignatureFault;
use std::fmt;

/// Why a delivery was not handled.
///
/// No variant shows a secret, an expected signature, a header's value or a body.
///
/// ```
/// use pylon_webhooks::{Error, WebhookHandler};
///
/// let handler = WebhookHandler::new("your-webhook-secret")?;
/// let error = handler.handle(b"{}", Some("not hexadecimal"), None).unwrap_err();
/// assert!(matches!(error, Error::SignatureMalformed { .. }));
/// assert_eq!(
///     error.to_string(),
///     "malformed signature: expected 64 hexadecimal digits in X-Pylon-Signature, found 15 characters",
/// );
/// # Ok::<(), pylon_webhooks::ConfigError>(())
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The delivery has no signature.
    SignatureMissing {
        /// Name of the header.
        header: Box<str>,
        /// The usual cause, when it can be determined.
        hint: Option<Hint>,
    },
    /// The signature was not 64 hexadecimal digits.
    SignatureMalformed {
        /// Name of the header.
        header: Box<str>,
        /// The kind of value that was found.
        found: SignatureFault,
    },
    /// The signature is well formed and matches none of the secrets.
    SignatureMismatch {
        /// The usual cause, when it can be determined.
        hint: Option<Hint>,
    },
    /// The delivery has no timestamp, and needs one: by configuration, or because its body is the signed text of a
    /// timestamped delivery.
    TimestampMissing {
        /// Name of the header.
        header: Box<str>,
        /// Why a timestamp is needed, when the body shows it.
        hint: Option<Hint>,
    },
    /// The timestamp was not 1 to 19 ASCII digits.
    TimestampMalformed {
        /// Name of the header.
        header: Box<str>,
        /// The kind of value that was found.
        found: TimestampFault,
    },
    /// The delivery is authentic, and its timestamp is too old.
    TimestampStale {
        /// Its age in seconds.
        age_seconds: u64,
        /// The largest accepted age, in seconds.
        tolerance_seconds: u64,
    },
    /// The delivery is authentic, and its timestamp is too far in the future.
    TimestampFuture {
        /// Seconds ahead of the clock.
        ahead_seconds: u64,
        /// The largest accepted number of seconds ahead.
        tolerance_seconds: u64,
    },
    /// The delivery is authentic, and its body is not JSON.
    Payload(PayloadError),
    /// Some handlers failed. All matching handlers have run.
    Handlers(HandlerErrors),
    /// A matching handler is async, and [`handle`](crate::WebhookHandler::handle) cannot await it. No handler has run.
    AsyncHandler,
}

impl Error {
    /// Whether the signature or the timestamp was refused. The sender then gets a 401.
    ///
    /// ```
    /// use pylon_webhooks::WebhookHandler;
    ///
    /// let handler = WebhookHandler::new("your-webhook-secret")?;
    /// assert!(handler.handle(b"{}", None, None).unwrap_err().is_refusal());
    /// # Ok::<(), pylon_webhooks::ConfigError>(())
    /// ```
    pub fn is_refusal(&self) -> bool {
        !matches!(self, Self::Payload(_) | Self::Handlers(_) | Self::AsyncHandler)
    }

    /// A stable code of the variant, for logs and metrics: `signature_mismatch`, `timestamp_stale`, `payload`...
    ///
    /// ```
    /// use pylon_webhooks::WebhookHandler;
    ///
    /// let handler = WebhookHandler::new("your-webhook-secret")?;
    /// assert_eq!(handler.handle(b"{}", None, None).unwrap_err().code(), "signature_missing");
    /// # Ok::<(), pylon_webhooks::ConfigError>(())
    /// ```
    pub fn code(&self) -> &'static str {
        match self {
            Self::SignatureMissing { .. } => "signature_missing",
            Self::SignatureMalformed { .. } => "signature_malformed",
            Self::SignatureMismatch { .. } => "signature_mismatch",
            Self::TimestampMissing { .. } => "timestamp_missing",
            Self::TimestampMalformed { .. } => "timestamp_malformed",
            Self::TimestampStale { .. } => "timestamp_stale",
            Self::TimestampFuture { .. } => "timestamp_future",
            Self::Payload(_) => "payload",
            Self::Handlers(_) => "handlers",
            Self::AsyncHandler => "async_handler",
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SignatureMissing { header, hint } => {
                write!(f, "missing signature: expected 64 hexadecimal digits in {header}, found no such header")?;
                write_hint(f, hint.as_ref())
            }
            Self::SignatureMalformed { header, found } => {
                write!(f, "malformed signature: expected 64 hexadecimal digits in {header}, found {found}")
            }
            Self::SignatureMismatch { hint } => {
                f.write_str("signature mismatch: the signature matches none of the configured secrets")?;
                match hint {
                    Some(_) => write_hint(f, hint.as_ref()),
                    None => f.write_str(
                        "; check the secret of this webhook destination, and pass the raw bytes of the request body",
                    ),
                }
            }
            Self::TimestampMissing { header, hint } => {
                write!(f, "missing timestamp: expected Unix seconds in {header}, found no such header")?;
                write_hint(f, hint.as_ref())
            }
            Self::TimestampMalformed { header, found } => {
                write!(f, "malformed timestamp: expected 1 to 19 ASCII digits in {header}, found {found}")
            }
            Self::TimestampStale { age_seconds, tolerance_seconds } => write!(
                f,
                "stale timestamp: {age_seconds} seconds old, at most {tolerance_seconds} accepted; a replay, a late \
                 delivery, or this machine's clock is fast"
            ),
            Self::TimestampFuture { ahead_seconds, tolerance_seconds } => write!(
                f,
                "future timestamp: {ahead_seconds} seconds ahead, at most {tolerance_seconds} accepted; this \
                 machine's \
                 clock is slow, or the timestamp is not in seconds"
            ),
            Self::Payload(error) => error.fmt(f),
            Self::Handlers(errors) => errors.fmt(f),
            Self::AsyncHandler => {
                f.write_str("a matching handler is async, and `handle` cannot await it: call `handle_async` instead")
            }
        }
    }
}

fn write_hint(f: &mut fmt::Formatter<'_>, hint: Option<&Hint>) -> fmt::Result {
    match hint {
        Some(hint) => write!(f, "; {hint}"),
        None => Ok(()),
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Handlers(errors) => errors.source(),
            _ => None,
        }
    }
}

impl From<PayloadError> for Error {
    fn from(error: PayloadError) -> Self {
        Self::Payload(error)
    }
}
