//! A request whose body may be read, and the body while it arrives.

use super::credentials::Credentials;
use super::encoding::is_text;
use super::fault::RequestFault;
use super::payload::Payload;
use super::received::Received;
use bytes::Bytes;

/// The room that is made at once for a body in pieces, in bytes: a declared length costs its sender nothing, memory costs us.
const FIRST_ROOM: usize = 64 * 1024;

/// A request whose method and declared length are accepted. Its body can be read.
#[derive(Debug, Clone)]
#[must_use]
pub struct Admitted {
    pub(super) credentials: Credentials,
    pub(super) declared_length: Option<u64>,
    pub(super) body_limit: usize,
}

impl Admitted {
    /// The declared length, in bytes; none without one, and with a `Transfer-Encoding`.
    pub fn declared_length(&self) -> Option<u64> {
        self.declared_length
    }

    /// The largest body that is accepted, in bytes. Read no more than one piece beyond it.
    pub fn body_limit(&self) -> usize {
        self.body_limit
    }

    /// Takes the whole body at once. It may be longer than declared, because middleware may have decompressed it, and with a
    /// `Content-Encoding` also shorter.
    ///
    /// # Errors
    /// [`RequestFault::TooLarge`], [`RequestFault::Incomplete`].
    pub fn whole<'a>(self, body: impl Into<Payload<'a>>) -> Result<Received<'a>, RequestFault> {
        let body = body.into();
        self.check_length(body.as_bytes())?;
        Ok(Received::new(body, self.credentials))
    }

    /// The fault when the body cannot be read to its end.
    pub fn broken(&self) -> RequestFault {
        self.credentials.content_encoding.map_or(RequestFault::Broken, |name| RequestFault::BrokenEncoded { name })
    }

    /// Takes the body piece by piece.
    pub fn arriving(self) -> ArrivingBody {
        ArrivingBody { admitted: self, first: Bytes::new(), joined: Vec::new() }
    }

    fn check_length(&self, body: &[u8]) -> Result<(), RequestFault> {
        let found = body.len();
        if found > self.body_limit {
            return Err(RequestFault::TooLarge { limit: self.body_limit });
        }
        match self.declared_length {
            // What was unpacked on the way may be shorter than what was declared. The signature shows whether it is whole.
            _ if self.credentials.content_encoding.is_some() && is_text(body) => Ok(()),
            Some(expected) if expected > found as u64 => Err(RequestFault::Incomplete { expected, found }),
            _ => Ok(()),
        }
    }
}

/// A body that arrives in pieces. A body in one piece is not copied.
///
/// ```
/// use pylon_webhooks::{Admission, RequestFault};
///
/// let mut body = Admission::new().body_limit(4).admit("POST", [("Accept", "*/*")])?.arriving();
/// body.push("{}".into())?;
/// assert_eq!(body.room(), 2);
/// assert_eq!(body.push("and more".into()), Err(RequestFault::TooLarge { limit: 4 }));
/// assert_eq!(body.into_bytes(), "{}an");
/// # Ok::<(), RequestFault>(())
/// ```
#[derive(Debug)]
#[must_use]
pub struct ArrivingBody {
    admitted: Admitted,
    /// The first piece as it came, until a second one comes.
    first: Bytes,
    joined: Vec<u8>,
}

impl ArrivingBody {
    /// The number of bytes that are still accepted.
    pub fn room(&self) -> usize {
        self.admitted.body_limit - self.len()
    }

    /// The number of bytes so far.
    pub fn len(&self) -> usize {
        self.first.len() + self.joined.len()
    }

    /// Whether there are no bytes so far.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds the next piece. Of a piece that exceeds the limit, the part within the limit is kept.
    ///
    /// # Errors
    /// [`RequestFault::TooLarge`].
    pub fn push(&mut self, mut piece: Bytes) -> Result<(), RequestFault> {
        let is_too_large = piece.len() > self.room();
        piece.truncate(self.room());
        if self.is_empty() {
            self.first = piece;
        } else {
            self.join(&piece);
        }
        if is_too_large { Err(RequestFault::TooLarge { limit: self.admitted.body_limit }) } else { Ok(()) }
    }

    /// Ends the body.
    ///
    /// # Errors
    /// [`RequestFault::Incomplete`]. The bytes so far are kept.
    pub fn end(&mut self) -> Result<Received<'static>, RequestFault> {
        self.admitted.check_length(self.so_far())?;
        let credentials = self.admitted.credentials;
        Ok(Received::new(self.take().into(), credentials))
    }

    /// The fault when the connection closes now.
    pub fn broken(&self) -> RequestFault {
        self.admitted.check_length(self.so_far()).err().unwrap_or(self.admitted.broken())
    }

    /// The bytes so far.
    pub fn into_bytes(mut self) -> Bytes {
        self.take()
    }

    fn so_far(&self) -> &[u8] {
        if self.joined.is_empty() { &self.first } else { &self.joined }
    }

    fn join(&mut self, piece: &[u8]) {
        if self.joined.is_empty() {
            let both = self.first.len() + piece.len();
            let expected = self.admitted.declared_length.map_or(both, |declared| declared as usize);
            self.joined.reserve(expected.clamp(both, FIRST_ROOM.max(both)));
            self.joined.extend_from_slice(&std::mem::take(&mut self.first));
        }
        self.joined.extend_from_slice(piece);
    }

    fn take(&mut self) -> Bytes {
        if self.joined.is_empty() { std::mem::take(&mut self.first) } else { std::mem::take(&mut self.joined).into() }
    }
}
