//! Requests: the body of `bodies/issue_new_small.json` with an id of its own in each, and a signature.

use pylon_webhooks::{SIGNATURE_HEADER, Secret, TIMESTAMP_HEADER, sign};
use std::net::SocketAddr;
use std::time::{SystemTime, UNIX_EPOCH};

const BODY: &str = include_str!("../bodies/issue_new_small.json");
/// Stands in the body where each request has its own.
const SAMPLE_ID: &str = "5b0c0f0e-1111-4a4a-8b8b-000000000001";

/// Makes signed requests.
pub(crate) struct Requests {
    secret: Secret,
    /// Request line and headers, but for the signature and what follows.
    head: String,
    signs_timestamp: bool,
    /// Ids of one run differ from those of any other.
    run: u32,
    before_id: &'static str,
    after_id: &'static str,
}

impl Requests {
    pub(crate) fn new(secret: Secret, to: SocketAddr, path: &str, signs_timestamp: bool) -> Self {
        let (before_id, after_id) = BODY.split_once(SAMPLE_ID).expect("the body in this folder has the id");
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: {to}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n",
            BODY.len()
        );
        Self { secret, head, signs_timestamp, run: std::process::id(), before_id, after_id }
    }

    /// The id in the body of the request with this number.
    pub(crate) fn id(&self, number: u64) -> String {
        format!("{:08x}-1111-4a4a-8b8b-{number:012x}", self.run)
    }

    /// Writes the request with this number in the place of what is there.
    pub(crate) fn write(&self, number: u64, request: &mut Vec<u8>) {
        let body = [self.before_id, &self.id(number), self.after_id].concat();
        let timestamp = self.signs_timestamp.then(|| {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is later than 1970");
            now.as_secs().to_string()
        });
        request.clear();
        request.extend_from_slice(self.head.as_bytes());
        if let Some(timestamp) = &timestamp {
            header(request, TIMESTAMP_HEADER, timestamp);
        }
        header(request, SIGNATURE_HEADER, &sign(&self.secret, body.as_bytes(), timestamp.as_deref()));
        request.extend_from_slice(b"\r\n");
        request.extend_from_slice(body.as_bytes());
    }
}

fn header(request: &mut Vec<u8>, name: &str, value: &str) {
    for part in [name, ": ", value, "\r\n"] {
        request.extend_from_slice(part.as_bytes());
    }
}
