//! The shared secret and the MAC keyed with it.

use crate::config_error::ConfigError;
use crate::secret_flaw::{self, SecretFlaw};
use hmac::{Hmac, KeyInit};
use sha2::Sha256;
use std::ffi::OsString;
use std::fmt;
use zeroize::Zeroizing;

pub(crate) type HmacSha256 = Hmac<Sha256>;

/// The secret that Pylon shows when you create the webhook destination.
///
/// The secret is used byte for byte, text as UTF-8: no base64, no prefix, no trimming. `Debug` prints `[redacted]`.
/// Dropping the value wipes its bytes.
///
/// ```
/// use pylon_webhooks::Secret;
///
/// let secret = Secret::new("your-webhook-secret")?;
/// assert_eq!(format!("{secret:?}"), "Secret([redacted])");
/// # Ok::<(), pylon_webhooks::ConfigError>(())
/// ```
#[derive(Clone)]
pub struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    /// Takes the secret's bytes unchanged.
    ///
    /// ```
    /// use pylon_webhooks::{ConfigError, Secret};
    ///
    /// assert_eq!(Secret::new("\n").unwrap_err(), ConfigError::EmptySecret);
    /// assert_eq!(Secret::new("''").unwrap_err(), ConfigError::EmptySecret);
    /// ```
    ///
    /// # Errors
    /// [`ConfigError::EmptySecret`]: anyone could sign with an empty secret, or one of only white space, quotes and the like.
    pub fn new(secret: impl AsRef<[u8]>) -> Result<Self, ConfigError> {
        let bytes = secret.as_ref();
        if secret_flaw::is_blank(bytes) {
            return Err(ConfigError::EmptySecret);
        }
        Ok(Self(Zeroizing::new(bytes.to_vec())))
    }

    /// Takes the secret from an environment variable.
    ///
    /// # Errors
    /// [`ConfigError::SecretVariable`]: the variable is not set, or empty, or holds only white space and quotes.
    pub fn from_env(variable: &str) -> Result<Self, ConfigError> {
        let missing = |is_set| Err(ConfigError::SecretVariable { variable: variable.into(), is_set });
        match std::env::var_os(variable).map(OsString::into_encoded_bytes).map(Zeroizing::new) {
            None => missing(false),
            Some(value) => Self::new(&*value).or_else(|_| missing(true)),
        }
    }

    /// What is probably wrong with the secret: it has spaces or quotes around it, or a byte order mark. It is used as it is
    /// all the same. A [`WebhookHandler`](crate::WebhookHandler) warns of it when it is built.
    pub fn flaw(&self) -> Option<SecretFlaw> {
        SecretFlaw::of(&self.0)
    }

    /// The MAC keyed with this secret, to clone for each delivery.
    pub(crate) fn keyed(&self) -> HmacSha256 {
        keyed(&self.0)
    }

    /// The MACs keyed with what the secret may have been meant to be.
    pub(crate) fn keyed_repaired(&self) -> impl Iterator<Item = (SecretFlaw, HmacSha256)> {
        secret_flaw::repairs(&self.0).into_iter().map(|(flaw, secret)| (flaw, keyed(&secret)))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret([redacted])")
    }
}

fn keyed(key: &[u8]) -> HmacSha256 {
    HmacSha256::new_from_slice(key).expect("HMAC takes a key of any length")
}
