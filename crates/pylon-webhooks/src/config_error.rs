//! What can be wrong with a configuration.

use std::fmt;

/// What is wrong with a configuration. `Debug` gives the sentence too: that is what a `main` prints that returns the error.
///
/// ```
/// use pylon_webhooks::{ConfigError, Secret};
///
/// assert_eq!(Secret::new("").unwrap_err(), ConfigError::EmptySecret);
/// ```
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConfigError {
    /// The environment variable that has to hold the secret is not set, or holds none.
    SecretVariable {
        /// Its name.
        variable: Box<str>,
        /// Whether it is set, to a text that is no secret: empty, or only white space and quotes.
        is_set: bool,
    },
    /// No secret was given.
    NoSecret,
    /// A secret is empty, or holds only what is around one: white space, invisible characters, quotes, a byte order mark, NULs.
    EmptySecret,
    /// A header's name is not an HTTP token.
    HeaderName,
    /// The signature header and the timestamp header have the same name.
    SameHeader,
    /// A JSON pointer does not start with `/`.
    Pointer,
    /// An event name is blank.
    EmptyName,
    /// The depth limit is not between 1 and [`DEFAULT_DEPTH_LIMIT`](crate::DEFAULT_DEPTH_LIMIT).
    DepthLimit,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SecretVariable { variable, is_set } => {
                let found = if *is_set { "empty, or only white space and quotes" } else { "not set" };
                return write!(
                    f,
                    "no secret: the environment variable {variable} is {found}; set it to the secret that Pylon shows for \
                     the webhook destination"
                );
            }
            Self::NoSecret => "no secret: pass the secret that Pylon shows for the webhook destination",
            Self::EmptySecret => {
                "a secret is empty, or only white space and quotes, so anyone could sign: pass the secret that Pylon shows \
                 for the webhook destination"
            }
            Self::HeaderName => "a header name must be letters, digits and `-`, for instance X-Pylon-Signature",
            Self::SameHeader => "the signature header and the timestamp header must have different names",
            Self::Pointer => "a JSON pointer must start with `/`, for instance /meta/event",
            Self::EmptyName => {
                "an event name is empty: pass the name that the trigger's template sends, for instance issue_new"
            }
            Self::DepthLimit => "the depth limit must be between 1 and 100",
        })
    }
}

impl fmt::Debug for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for ConfigError {}
