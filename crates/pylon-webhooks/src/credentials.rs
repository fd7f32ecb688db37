//! What a request presents to be believed, picked out of its headers.

use crate::diagnosis;
use std::fmt;

/// One header as a request presented it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Presented<V> {
    /// The header did not come.
    Absent,
    /// It came once, with this value.
    Once(V),
    /// It came more than once: no value is preferred.
    Repeated,
    /// It came as a value of this type, not text; only a caller in a dynamic language can give that.
    OtherType(&'static str),
}

impl<V> Presented<V> {
    fn add(&mut self, value: Presented<V>) {
        *self = match self {
            Self::Absent => value,
            _ => Self::Repeated,
        };
    }
}

impl<V> fmt::Debug for Presented<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent => f.write_str("Absent"),
            // The signature of an authentic delivery is one that would be accepted.
            Self::Once(_) => f.write_str("Once([redacted])"),
            Self::Repeated => f.write_str("Repeated"),
            Self::OtherType(name) => write!(f, "OtherType({name})"),
        }
    }
}

impl<V> From<Option<V>> for Presented<V> {
    fn from(value: Option<V>) -> Self {
        value.map_or(Self::Absent, Self::Once)
    }
}

/// The signature and timestamp of one request.
///
/// ```
/// use pylon_webhooks::{Credentials, Presented};
///
/// let mut credentials = Credentials::new(Presented::Absent, Presented::Absent);
/// credentials.add(("X-Pylon-Signature", "X-Pylon-Timestamp"), "x-pylon-signature", Presented::Once("ab"));
/// assert_eq!(credentials.signature, Presented::Once("ab"));
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Credentials<V> {
    /// The signature header.
    pub signature: Presented<V>,
    /// The timestamp header.
    pub timestamp: Presented<V>,
    /// The other product whose signature header came along, where one did.
    pub(crate) other_product: Option<&'static str>,
}

impl<V> Credentials<V> {
    /// What a caller has already looked up.
    pub fn new(signature: impl Into<Presented<V>>, timestamp: impl Into<Presented<V>>) -> Self {
        Self { signature: signature.into(), timestamp: timestamp.into(), other_product: None }
    }

    /// Takes in one header of the request; names match in any case, and a second one of the same name makes it
    /// [`Presented::Repeated`].
    pub fn add(&mut self, header_names: (&str, &str), name: &str, value: Presented<V>) {
        self.add_with(header_names, name, || value);
    }

    /// The same, asking for the value of no header but these.
    pub(crate) fn add_with(
        &mut self,
        (signature_header, timestamp_header): (&str, &str),
        name: &str,
        value: impl FnOnce() -> Presented<V>,
    ) {
        if name.eq_ignore_ascii_case(signature_header) {
            self.signature.add(value());
        } else if name.eq_ignore_ascii_case(timestamp_header) {
            self.timestamp.add(value());
        } else if let Some(product) = diagnosis::product_of_header(name) {
            self.other_product = Some(product);
        }
    }
}
