//! The shared secret and the MAC keyed with it.

use crate::config_error::ConfigError;
use hmac::{Hmac, KeyInit};
use sha2::Sha256;
use std::fmt;
use zeroize::Zeroizing;

pub(crate) type HmacSha256 = Hmac<Sha256>;

/// The secret that Pylon shows when the webhook destination is created, used byte for byte as it stands.
///
/// A text stands for its UTF-8 bytes: no base64, no prefix, no trimming. `Debug` prints `[redacted]`, and the bytes are
/// wiped when the value is dropped.
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
    /// Takes the secret's bytes as they stand.
    ///
    /// # Errors
    /// [`ConfigError::EmptySecret`] when there is not one byte: anybody could sign with that.
    pub fn new(secret: impl AsRef<[u8]>) -> Result<Self, ConfigError> {
        match secret.as_ref() {
            [] => Err(ConfigError::EmptySecret),
            bytes => Ok(Self(Zeroizing::new(bytes.to_vec()))),
        }
    }

    /// The MAC with this secret worked in, to be cloned for each delivery.
    pub(crate) fn keyed(&self) -> HmacSha256 {
        keyed(&self.0)
    }

    /// The MAC of the secret without the white space at its ends; none when there is no such space or nothing else.
    pub(crate) fn keyed_without_outer_space(&self) -> Option<HmacSha256> {
        let trimmed = self.0.trim_ascii();
        (!trimmed.is_empty() && trimmed.len() < self.0.len()).then(|| keyed(trimmed))
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
