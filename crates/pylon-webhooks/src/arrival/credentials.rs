//! The signature and timestamp of a request, read from its headers.

use super::encoding::encoding_of;
use crate::freshness::{Timestamp, TimestampFault};
use crate::hint::product_of_header;
use crate::signature::{Signature, SignatureFault};
use std::fmt;

/// One credential as a request presented it.
#[derive(Clone, Copy)]
pub(crate) enum Presented<T, F> {
    /// There is no such header.
    Absent,
    /// The header occurs once and is well formed.
    WellFormed(T),
    /// The header occurs more than once or is malformed.
    Malformed(F),
}

impl<T, F> From<Result<T, F>> for Presented<T, F> {
    fn from(parsed: Result<T, F>) -> Self {
        parsed.map_or_else(Self::Malformed, Self::WellFormed)
    }
}

impl<T, F> fmt::Debug for Presented<T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Absent => "absent",
            // The signature of an authentic delivery is one that would be accepted.
            Self::WellFormed(_) => "[redacted]",
            Self::Malformed(_) => "malformed",
        })
    }
}

/// A header's value as a caller has it.
#[derive(Clone, Copy)]
pub enum HeaderValue<'a> {
    /// Its bytes.
    Text(&'a [u8]),
    /// A value of this type, not text. Only a caller in a dynamic language can have one.
    OtherType(&'static str),
}

impl<'a> HeaderValue<'a> {
    /// A text's bytes.
    pub(crate) fn of(text: &'a str) -> Self {
        Self::Text(text.as_bytes())
    }

    fn signature(self) -> Result<Signature, SignatureFault> {
        match self {
            Self::Text(text) => Signature::parse(text),
            Self::OtherType(name) => Err(SignatureFault::Type(name)),
        }
    }

    fn timestamp(self) -> Result<Timestamp, TimestampFault> {
        match self {
            Self::Text(text) => Timestamp::parse(text),
            Self::OtherType(name) => Err(TimestampFault::Type(name)),
        }
    }
}

impl fmt::Debug for HeaderValue<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// The signature and the timestamp of one request, parsed and not yet compared with anything.
///
/// Keeps no part of the headers. A malformed value is refused when the delivery is verified, not before.
#[derive(Clone, Copy)]
pub struct Credentials {
    pub(crate) signature: Presented<Signature, SignatureFault>,
    pub(crate) timestamp: Presented<Timestamp, TimestampFault>,
    /// The other product whose signature header came along, where one did.
    pub(crate) other_product: Option<&'static str>,
    /// By what the body is compressed, where a header says so.
    pub(crate) content_encoding: Option<&'static str>,
}

impl Credentials {
    /// The values of the two headers, as a caller has looked them up.
    pub fn new(signature: Option<HeaderValue<'_>>, timestamp: Option<HeaderValue<'_>>) -> Self {
        Self {
            signature: signature.map_or(Presented::Absent, |value| value.signature().into()),
            timestamp: timestamp.map_or(Presented::Absent, |value| value.timestamp().into()),
            other_product: None,
            content_encoding: None,
        }
    }

    /// Takes in one header of the request. Names match in any case; a credential that comes twice is malformed.
    pub(crate) fn add(
        &mut self,
        (signature_header, timestamp_header): (&str, &str),
        name: &str,
        value: HeaderValue<'_>,
    ) {
        if name.eq_ignore_ascii_case(signature_header) {
            self.signature = match self.signature {
                Presented::Absent => value.signature().into(),
                _ => Presented::Malformed(SignatureFault::Repeated),
            };
        } else if name.eq_ignore_ascii_case(timestamp_header) {
            self.timestamp = match self.timestamp {
                Presented::Absent => value.timestamp().into(),
                _ => Presented::Malformed(TimestampFault::Repeated),
            };
        } else if name.eq_ignore_ascii_case("content-encoding") {
            self.content_encoding = match value {
                HeaderValue::Text(text) => encoding_of(text).or(self.content_encoding),
                HeaderValue::OtherType(_) => self.content_encoding,
            };
        } else if let Some(product) = product_of_header(name) {
            self.other_product = Some(product);
        }
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("signature", &self.signature)
            .field("timestamp", &self.timestamp)
            .finish_non_exhaustive()
    }
}
