//! The table of requests in `vectors/requests.json`: what every adapter, and the receiver, answers to them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;

/// The table.
#[derive(Debug, Deserialize)]
pub struct Table {
    /// The version of the format; [`Table::read`] checks it.
    schema: u32,
    /// The secret that signs the requests.
    pub secret: String,
    /// The present time, in Unix seconds.
    pub now: u64,
    /// The requests.
    pub cases: Vec<Case>,
}

impl Table {
    /// Reads the file.
    ///
    /// # Panics
    /// If the file is missing or has another format.
    pub fn read() -> Self {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../vectors/requests.json");
        let table: Self = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        assert_eq!(table.schema, 1, "the schema of {path}");
        table
    }
}

/// A request, and the answer to it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// The id.
    pub id: String,
    /// What the case is about.
    pub comment: String,
    /// The method.
    pub method: String,
    /// The headers, without those of the framing.
    headers: Vec<(String, String)>,
    body: Option<String>,
    body_base64: Option<String>,
    body_repeat: Option<Vec<(String, usize)>>,
    #[serde(default)]
    transfer: Transfer,
    pieces: Option<usize>,
    /// The answer.
    pub expect: Expected,
    /// The answer of a server that unpacks bodies; none is written in Rust.
    #[serde(rename = "expect_unpacked", default)]
    _expect_unpacked: IgnoredAny,
}

#[derive(Debug, Deserialize, Default, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Transfer {
    #[default]
    #[serde(skip)]
    Plain,
    Chunked,
    Declared(u64),
}

/// The answer of an endpoint, and the events that its handlers get.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expected {
    /// The status.
    pub status: u16,
    /// The body in JSON; null if there is none.
    pub answer: Value,
    /// The header `Allow`.
    pub allow: Option<String>,
    /// The events that handlers get, by name.
    pub handled: Vec<String>,
}

impl Case {
    /// The body; none if the request has none.
    pub fn body(&self) -> Option<Vec<u8>> {
        let repeated = |parts: &Vec<(String, usize)>| parts.iter().map(|(text, count)| text.repeat(*count)).collect();
        let text = self.body.clone().or_else(|| self.body_repeat.as_ref().map(repeated));
        text.map(String::into_bytes).or_else(|| self.body_base64.as_ref().map(|text| STANDARD.decode(text).unwrap()))
    }

    /// The headers as they are on the wire, with those of the framing.
    pub fn headers(&self) -> Vec<(String, Vec<u8>)> {
        let latin_1 = |text: &str| text.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect();
        let mut headers: Vec<_> = self.headers.iter().map(|(name, value)| (name.clone(), latin_1(value))).collect();
        let length = match self.transfer {
            Transfer::Plain => self.body().map(|body| body.len() as u64),
            Transfer::Declared(length) => Some(length),
            Transfer::Chunked => None,
        };
        headers.extend(length.map(|length| ("Content-Length".to_owned(), length.to_string().into_bytes())));
        if self.is_chunked() {
            headers.push(("Transfer-Encoding".into(), b"chunked".into()));
        }
        headers
    }

    /// Whether the body comes in chunks, without a declared length.
    pub fn is_chunked(&self) -> bool {
        self.transfer == Transfer::Chunked
    }

    /// The body in the pieces in which it comes.
    pub fn pieces(&self) -> Vec<Vec<u8>> {
        let body = self.body().unwrap_or_default();
        let length = body.len().div_ceil(self.pieces.unwrap_or(1)).max(1);
        body.chunks(length).map(<[u8]>::to_vec).collect()
    }
}
