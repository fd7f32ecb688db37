//! The body of a delivery, borrowed or shared.

use super::encoding::{compression_of, is_text};
use bytes::Bytes;
use std::fmt;

/// The body of a request: raw bytes, or text that is encoded as UTF-8.
///
/// Pass the raw bytes if you have them: the signature covers the raw bytes. Text is for callers that get nothing else,
/// such as an AWS Lambda function. When the signature does not match a text, the error says that the body was given as
/// text.
///
/// ```
/// use pylon_webhooks::Payload;
///
/// assert_eq!(Payload::from(b"{}").as_bytes(), b"{}");
/// assert_eq!(Payload::from(vec![b'{', b'}']).as_bytes(), b"{}");
/// assert_eq!(Payload::from("{}").as_bytes(), b"{}");
/// ```
#[derive(Clone)]
pub struct Payload<'a> {
    bytes: Held<'a>,
    is_text: bool,
    content_encoding: Option<&'static str>,
}

#[derive(Clone)]
enum Held<'a> {
    /// The caller's bytes, copied once verified.
    Borrowed(&'a [u8]),
    /// Bytes shared by reference count, as axum and hyper give them; never copied.
    Shared(Bytes),
}

impl<'a> Payload<'a> {
    const fn borrowed(bytes: &'a [u8]) -> Self {
        Self { bytes: Held::Borrowed(bytes), is_text: false, content_encoding: None }
    }

    const fn shared(bytes: Bytes) -> Self {
        Self { bytes: Held::Shared(bytes), is_text: false, content_encoding: None }
    }

    /// The same, where the caller had text.
    pub(crate) fn given_as_text(self) -> Self {
        Self { is_text: true, ..self }
    }

    /// Whether the caller had text.
    pub(crate) fn is_text(&self) -> bool {
        self.is_text
    }

    /// The same, where the request has a `Content-Encoding`.
    pub(super) fn encoded(self, content_encoding: Option<&'static str>) -> Self {
        Self { content_encoding, ..self }
    }

    /// By what the bytes are compressed: as they say themselves, else as the request says, unless there are none, or text.
    pub(crate) fn compression(&self) -> Option<&'static str> {
        let declared = || self.content_encoding.filter(|_| !self.as_bytes().is_empty() && !is_text(self.as_bytes()));
        compression_of(self.as_bytes()).or_else(declared)
    }

    /// The bytes as they arrived.
    pub fn as_bytes(&self) -> &[u8] {
        match &self.bytes {
            Held::Borrowed(bytes) => bytes,
            Held::Shared(bytes) => bytes,
        }
    }

    /// The bytes, copied only where they were borrowed.
    pub fn into_bytes(self) -> Bytes {
        match self.bytes {
            Held::Borrowed(bytes) => Bytes::copy_from_slice(bytes),
            Held::Shared(bytes) => bytes,
        }
    }

    /// The bytes where they are shared.
    pub(crate) fn as_shared(&self) -> Option<&Bytes> {
        match &self.bytes {
            Held::Borrowed(_) => None,
            Held::Shared(bytes) => Some(bytes),
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
        Self::borrowed(bytes)
    }
}

impl<'a, const LENGTH: usize> From<&'a [u8; LENGTH]> for Payload<'a> {
    fn from(bytes: &'a [u8; LENGTH]) -> Self {
        Self::borrowed(bytes)
    }
}

impl<'a> From<&'a Vec<u8>> for Payload<'a> {
    fn from(bytes: &'a Vec<u8>) -> Self {
        Self::borrowed(bytes)
    }
}

impl<'a> From<&'a str> for Payload<'a> {
    fn from(text: &'a str) -> Self {
        Self::borrowed(text.as_bytes()).given_as_text()
    }
}

impl<'a> From<&'a String> for Payload<'a> {
    fn from(text: &'a String) -> Self {
        Self::from(text.as_str())
    }
}

impl From<String> for Payload<'_> {
    fn from(text: String) -> Self {
        Self::shared(text.into_bytes().into()).given_as_text()
    }
}

impl From<Vec<u8>> for Payload<'_> {
    fn from(bytes: Vec<u8>) -> Self {
        Self::shared(bytes.into())
    }
}

impl From<Bytes> for Payload<'_> {
    fn from(bytes: Bytes) -> Self {
        Self::shared(bytes)
    }
}

impl From<&Bytes> for Payload<'_> {
    fn from(bytes: &Bytes) -> Self {
        Self::shared(bytes.clone())
    }
}
