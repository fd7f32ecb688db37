//! One request and its answer, each on a connection of its own.

use serde_json::Value;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Whoever waits longer waits for what does not come.
const LONGEST: Duration = Duration::from_secs(20);

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Answer {
    pub(super) status: u16,
    /// Names in lower case.
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

impl Answer {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    #[track_caller]
    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// The event's id: it was accepted.
    #[track_caller]
    pub(super) fn id(&self) -> String {
        assert_eq!(self.status, 200, "{}", self.text());
        self.json()["id"].as_str().unwrap().to_owned()
    }

    /// The ledger did not keep it, and the sender is told to come again.
    #[track_caller]
    pub(super) fn assert_unavailable(&self) {
        let told = (self.status, self.header("retry-after"), self.text());
        assert_eq!(told, (503, Some("5"), r#"{"error":"unavailable"}"#.to_owned()));
    }
}

/// The answer; none when the connection was refused or ended before it.
pub(super) fn ask(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(String, String)],
    body: &[u8],
) -> Option<Answer> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(LONGEST)).unwrap();
    let mut head = format!("{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n");
    for (name, value) in headers {
        head += &format!("{name}: {value}\r\n");
    }
    head += &format!("Content-Length: {}\r\n\r\n", body.len());
    stream.write_all(&[head.as_bytes(), body].concat()).ok()?;
    read(&mut stream)
}

/// The answer that stands on a connection which ends behind it.
pub(super) fn read(stream: &mut impl Read) -> Option<Answer> {
    let mut bytes = Vec::new();
    // A connection that is reset behind the answer has brought it all the same.
    let _ = stream.read_to_end(&mut bytes);
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
    let mut lines = head.split("\r\n");
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let pairs = lines.filter_map(|line| line.split_once(": "));
    let headers: Vec<_> = pairs.map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned())).collect();
    let body = bytes[end + 4..].to_vec();
    let length = headers.iter().find(|(name, _)| name == "content-length").map(|(_, length)| length.parse());
    if length.is_some_and(|length| length != Ok(body.len())) {
        return None;
    }
    Some(Answer { status, headers, body })
}
