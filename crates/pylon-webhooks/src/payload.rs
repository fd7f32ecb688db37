//! The body of a delivery as the caller has it: borrowed, or shared without copying.

use bytes::Bytes;
use std::fmt;

/// The raw bytes of a request's body; text is not accepted, for whatever made it text may have changed it.
///
/// ```
/// use pylon_webhooks::Payload;
///
/// assert_eq!(Payload::from(b"{}").as_bytes(), b"{}");
/// assert_eq!(Payload::from(vec![b'{', b'}']).as_bytes(), b"{}");
/// ```
#[derive(Clone)]
pub enum Payload<'a> {
    /// Bytes that stay the caller's; they are copied once verified.
    Borrowed(&'a [u8]),
    /// Bytes shared by reference count, as axum and hyper give them; never copied.
    Shared(Bytes),
}

impl Payload<'_> {
    /// The bytes as they arrived.
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Borrowed(bytes) => bytes,
            Self::Shared(bytes) => bytes,
        }
    }

    /// The bytes, copied only where they were borrowed.
    pub fn into_bytes(self) -> Bytes {
        match self {
            Self::Borrowed(bytes) => Bytes::copy_from_slice(bytes),
            Self::Shared(bytes) => bytes,
        }
    }
}

impl fmt::Debug for Payload<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Payload({} bytes)", self.as_bytes().len())
    }
}

impl<'a> From<&'a [u8]> for Payload<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Self::Borrowed(bytes)
    }
}

impl<'a, const LENGTH: usize> From<&'a [u8; LENGTH]> for Payload<'a> {
    fn from(bytes: &'a [u8; LENGTH]) -> Self {
        Self::Borrowed(bytes)
    }
}

impl<'a> From<&'a Vec<u8>> for Payload<'a> {
    fn from(bytes: &'a Vec<u8>) -> Self {
        Self::Borrowed(bytes)
    }
}

impl From<Vec<u8>> for Payload<'_> {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Shared(bytes.into())
    }
}

impl From<Bytes> for Payload<'_> {
    fn from(bytes: Bytes) -> Self {
        Self::Shared(bytes)
    }
}

impl From<&Bytes> for Payload<'_> {
    fn from(bytes: &Bytes) -> Self {
        Self::Shared(bytes.clone())
    }
}
