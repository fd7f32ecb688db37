//! Every way in which a delivery can fail, each with a sentence that says what to do.

use crate::diagnosis::Hint;
use crate::event::PayloadError;
use crate::failure::HandlerErrors;
use crate::freshness::TimestampFault;
use crate::signature::SignatureFault;
use std::fmt;

/// Why a delivery was not handled.
///
/// No variant ever shows a secret, an expected signature, or what a header or body held.
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
    /// The delivery bore no signature.
    SignatureMissing {
        /// Name of the header that should have held it.
        header: Box<str>,
        /// What usually causes this, where it can be told.
        hint: Option<Hint>,
    },
    /// The signature was not 64 hexadecimal digits.
    SignatureMalformed {
        /// Name of the header that should have held it.
        header: Box<str>,
        /// What it held, in kind.
        found: SignatureFault,
    },
    /// The signature was well formed and fits none of the secrets.
    SignatureMismatch {
        /// What usually causes this, where it can be told.
        hint: Option<Hint>,
    },
    /// A timestamp is required and the delivery bore none.
    TimestampMissing {
        /// Name of the header that should have held it.
        header: Box<str>,
    },
    /// The timestamp was not 1 to 19 ASCII digits.
    TimestampMalformed {
        /// Name of the header that should have held it.
        header: Box<str>,
        /// What it held, in kind.
        found: TimestampFault,
    },
    /// An authentic delivery whose timestamp lies too far back.
    TimestampStale {
        /// Its age in seconds.
        age_seconds: u64,
        /// The age accepted, in seconds.
        tolerance_seconds: u64,
    },
    /// An authentic delivery whose timestamp lies too far ahead.
    TimestampFuture {
        /// How far ahead, in seconds.
        ahead_seconds: u64,
        /// How far ahead is accepted, in seconds.
        tolerance_seconds: u64,
    },
    /// An authentic delivery whose body is not JSON.
    Payload(PayloadError),
    /// Some handlers failed; all of them ran.
    Handlers(HandlerErrors),
    /// An `async` handler is due and [`handle`](crate::WebhookHandler::handle) cannot await it; no handler has run.
    AsyncHandler,
}

impl Error {
    /// Whether the delivery's signature or timestamp was refused: the answer to the sender is then 401.
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

    /// A stable name of the variant, for logs and metrics: `signature_mismatch`, `timestamp_stale`, `payload`...
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
                f.write_str("signature mismatch: the signature fits none of the configured secrets")?;
                match hint {
                    Some(_) => write_hint(f, hint.as_ref()),
                    None => f.write_str(
                        "; check that the secret is the one of this webhook destination and that the body is passed as the \
                         raw bytes that arrived",
                    ),
                }
            }
            Self::TimestampMissing { header } => {
                write!(f, "missing timestamp: expected Unix seconds in {header}, found no such header")
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
                "future timestamp: {ahead_seconds} seconds ahead, at most {tolerance_seconds} accepted; this machine's \
                 clock is slow, or the timestamp is not in seconds"
            ),
            Self::Payload(error) => error.fmt(f),
            Self::Handlers(errors) => errors.fmt(f),
            Self::AsyncHandler => {
                f.write_str("an async handler is due and `handle` cannot await it: call `handle_async` instead")
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
