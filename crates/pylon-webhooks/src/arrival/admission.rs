//! What is checked before a request's body is read: the method and the declared length.

use super::admitted::Admitted;
use super::credentials::{Credentials, HeaderValue};
use super::fault::RequestFault;

/// The default name of the signature header.
pub const SIGNATURE_HEADER: &str = "X-Pylon-Signature";
/// The default name of the timestamp header.
pub const TIMESTAMP_HEADER: &str = "X-Pylon-Timestamp";
/// The methods of webhook requests. Pylon lets admins choose GET and DELETE too, which carry no body: nothing is left to verify.
pub(crate) const METHODS: [&str; 3] = ["POST", "PUT", "PATCH"];
/// The default body limit: 1 MiB, in bytes.
pub const DEFAULT_BODY_LIMIT: usize = 1024 * 1024;

/// Decides by method and headers whether to read a request's body, and collects its credentials.
///
/// ```
/// use pylon_webhooks::{Admission, RequestFault};
///
/// let admission = Admission::new().body_limit(1000);
/// let admitted = admission.admit("POST", [("Content-Length", "2"), ("X-Pylon-Signature", "ab")])?;
/// assert_eq!(admitted.declared_length(), Some(2));
/// let received = admitted.whole(b"{}")?;
///
/// let refused = admission.admit("POST", [("Content-Length", "1001")]);
/// assert_eq!(refused.unwrap_err(), RequestFault::TooLarge { limit: 1000 });
/// # Ok::<(), RequestFault>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct Admission {
    body_limit: usize,
    signature_header: Box<str>,
    timestamp_header: Box<str>,
}

impl Default for Admission {
    fn default() -> Self {
        Self::new()
    }
}

impl Admission {
    /// The default body limit and header names. Use [`Verifier::admission`](crate::Verifier::admission) for configured
    /// header names.
    pub fn new() -> Self {
        Self::of_headers((SIGNATURE_HEADER, TIMESTAMP_HEADER))
    }

    pub(crate) fn of_headers((signature_header, timestamp_header): (&str, &str)) -> Self {
        Self {
            body_limit: DEFAULT_BODY_LIMIT,
            signature_header: signature_header.into(),
            timestamp_header: timestamp_header.into(),
        }
    }

    /// The largest body that is accepted, in bytes.
    pub fn body_limit(mut self, bytes: usize) -> Self {
        self.body_limit = bytes;
        self
    }

    /// The largest body that is accepted, in bytes.
    pub fn limit(&self) -> usize {
        self.body_limit
    }

    /// Decides whether to read the body. Goes through the headers once. Takes any type that yields names and values: a
    /// slice or map of texts, or `&http::HeaderMap` of any version.
    ///
    /// A `Transfer-Encoding` overrides a declared length (RFC 9112, section 6.3).
    ///
    /// # Errors
    /// [`RequestFault::Method`], [`RequestFault::TooLarge`].
    pub fn admit<N: AsRef<str>, V: AsRef<[u8]>>(
        &self,
        method: &str,
        headers: impl IntoIterator<Item = (N, V)>,
    ) -> Result<Admitted, RequestFault> {
        let mut walk = HeaderWalk::new(self);
        for (name, value) in headers {
            walk.add(name.as_ref(), HeaderValue::Text(value.as_ref()));
        }
        walk.admit(method)
    }
}

/// The headers of a request on the way through them.
#[derive(Debug)]
pub struct HeaderWalk<'a> {
    admission: &'a Admission,
    credentials: Credentials,
    declared_length: Option<u64>,
    has_transfer_encoding: bool,
}

impl<'a> HeaderWalk<'a> {
    /// Begins at the first header.
    pub fn new(admission: &'a Admission) -> Self {
        let credentials = Credentials::new(None, None);
        Self { admission, credentials, declared_length: None, has_transfer_encoding: false }
    }

    /// Takes in one header.
    pub fn add(&mut self, name: &str, value: HeaderValue<'_>) {
        if name.eq_ignore_ascii_case("content-length") {
            self.declared_length = match value {
                HeaderValue::Text(text) => content_length(text),
                HeaderValue::OtherType(_) => None,
            };
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            self.has_transfer_encoding = true;
        } else {
            let Admission { signature_header, timestamp_header, .. } = self.admission;
            self.credentials.add((signature_header, timestamp_header), name, value);
        }
    }

    /// Takes a value of this type for the signature: what was given for headers cannot be gone through.
    pub fn spoil(&mut self, type_name: &'static str) {
        self.credentials = Credentials::new(Some(HeaderValue::OtherType(type_name)), None);
    }

    /// The credentials alone, where nothing has to be admitted.
    pub fn into_credentials(self) -> Credentials {
        self.credentials
    }

    /// Decides, once all headers are in.
    ///
    /// # Errors
    /// [`RequestFault::Method`], [`RequestFault::TooLarge`].
    pub fn admit(self, method: &str) -> Result<Admitted, RequestFault> {
        let body_limit = self.admission.body_limit;
        let declared_length = self.declared_length.filter(|_| !self.has_transfer_encoding);
        if !METHODS.contains(&method) {
            return Err(RequestFault::Method);
        }
        match declared_length {
            Some(length) if length > body_limit as u64 => Err(RequestFault::TooLarge { limit: body_limit }),
            _ => Ok(Admitted { credentials: self.credentials, declared_length, body_limit }),
        }
    }
}

/// What a `Content-Length` header declares, in bytes; none where it is not a number.
fn content_length(value: &[u8]) -> Option<u64> {
    std::str::from_utf8(value).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))?.parse().ok()
}
