//! What a destination answered to an attempt that failed.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::fmt;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::Schema;
use utoipa::{PartialSchema, ToSchema};

/// How much of a content type is kept, in characters.
const LONGEST_TYPE: usize = 200;

/// What a destination said to an attempt that failed: the beginning of an HTTP answer's body, or the end of a command's standard error.
/// The bytes are as they came, and may be anything: make them safe where you show them. `Debug` shows none of them.
///
/// As JSON it has the bytes as `text` if they are UTF-8, else as `base64`.
///
/// ```
/// use pylon_receiver::ledger::AttemptAnswer;
///
/// let answer = AttemptAnswer::beginning(Some(b"application/json"), br#"{"error": "no such customer"}"#, false);
/// assert_eq!(answer.content_type.as_deref(), Some("application/json"));
/// assert!(!answer.is_cut);
/// assert!(!format!("{answer:?}").contains("customer"));
/// ```
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "Written", try_from = "Written")]
pub struct AttemptAnswer {
    /// The content type, as the destination named it.
    pub content_type: Option<Box<str>>,
    /// What was said, or a part of it: at most [`MOST`](Self::MOST) bytes.
    pub bytes: Bytes,
    /// Whether there was more than these bytes, or the answer broke off.
    pub is_cut: bool,
}

impl AttemptAnswer {
    /// How much of an answer is kept, in bytes.
    pub const MOST: usize = 2048;

    /// The beginning of an answer: as much of it as is kept. A text that is cut ends with a whole character.
    pub fn beginning(content_type: Option<&[u8]>, bytes: &[u8], is_cut: bool) -> Self {
        let content_type = content_type.map(|name| String::from_utf8_lossy(name).chars().take(LONGEST_TYPE).collect());
        let is_cut = is_cut || bytes.len() > Self::MOST;
        let kept = &bytes[..bytes.len().min(Self::MOST)];
        let kept = match std::str::from_utf8(kept) {
            // Only the last character is incomplete.
            Err(fault) if is_cut && fault.error_len().is_none() => &kept[..fault.valid_up_to()],
            _ => kept,
        };
        Self { content_type, bytes: Bytes::copy_from_slice(kept), is_cut }
    }

    /// The end of what was said: as much of it as is kept. A text that is cut begins with a whole character.
    pub fn end(bytes: &[u8], is_cut: bool) -> Self {
        let is_cut = is_cut || bytes.len() > Self::MOST;
        let mut kept = &bytes[bytes.len().saturating_sub(Self::MOST)..];
        if is_cut {
            // Bytes that continue a character: three at most.
            let within = kept.iter().take(3).take_while(|&&byte| byte & 0b1100_0000 == 0b1000_0000).count();
            kept = &kept[within..];
        }
        Self { content_type: None, bytes: Bytes::copy_from_slice(kept), is_cut }
    }

    /// What was said, if it is text.
    pub fn text(&self) -> Option<&str> {
        std::str::from_utf8(&self.bytes).ok()
    }
}

impl PartialSchema for AttemptAnswer {
    fn schema() -> RefOr<Schema> {
        Written::schema()
    }
}

impl ToSchema for AttemptAnswer {}

/// What a destination said to an attempt that failed, as `text` if it is UTF-8, else as `base64`.
#[derive(Serialize, Deserialize, ToSchema)]
struct Written {
    /// The content type, as the destination named it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    content_type: Option<String>,
    /// What was said, or a part of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    /// The bytes, if they are no text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    base64: Option<String>,
    /// Whether there was more, or the answer broke off.
    is_cut: bool,
}

impl From<AttemptAnswer> for Written {
    fn from(answer: AttemptAnswer) -> Self {
        let text = answer.text().map(str::to_owned);
        let base64 = text.is_none().then(|| BASE64.encode(&answer.bytes));
        Self { content_type: answer.content_type.map(String::from), text, base64, is_cut: answer.is_cut }
    }
}

impl TryFrom<Written> for AttemptAnswer {
    type Error = &'static str;

    fn try_from(Written { content_type, text, base64, is_cut }: Written) -> Result<Self, Self::Error> {
        let bytes = match (text, base64) {
            (Some(text), None) => text.into_bytes(),
            (None, Some(base64)) => BASE64.decode(base64).map_err(|_| "expected base64, found something else")?,
            _ => return Err("expected either `text` or `base64`"),
        };
        Ok(Self { content_type: content_type.map(Into::into), bytes: bytes.into(), is_cut })
    }
}

impl fmt::Debug for AttemptAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AttemptAnswer")
            .field("bytes", &format_args!("{} bytes", self.bytes.len()))
            .field("is_cut", &self.is_cut)
            .finish_non_exhaustive()
    }
}
