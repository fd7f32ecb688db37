//! A small HTTP client on a connection that stays open; every call waits until the answer has come whole.

use pylon_webhooks::{SIGNATURE_HEADER, Secret, sign};
use serde_json::Value;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

#[path = "../../../../benchmarks/open_loop/answer.rs"]
mod answer;

/// No answer for so long is an error.
const PATIENCE: Duration = Duration::from_secs(30);
/// No answer is longer, bytes.
const LONGEST_ANSWER: usize = 64 << 20;

/// A connection.
#[derive(Debug)]
pub(crate) struct Client {
    stream: TcpStream,
    address: SocketAddr,
}

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answered {
    /// The status.
    pub(crate) status: u16,
    /// The first UUID in the body: the event's id.
    pub(crate) event: Option<String>,
    /// The body.
    pub(crate) body: Vec<u8>,
}

impl Client {
    /// Connects.
    ///
    /// # Errors
    /// What the system says.
    pub(crate) fn connect(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Self { stream, address })
    }

    /// Posts a body, signed.
    ///
    /// # Errors
    /// What the system says, and an answer that does not come whole.
    pub(crate) fn post_signed(&mut self, path: &str, secret: &Secret, body: &[u8]) -> io::Result<Answered> {
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n{SIGNATURE_HEADER}: {}\r\n\r\n",
            self.address,
            body.len(),
            sign(secret, body, None)
        );
        self.exchange(&[head.as_bytes(), body].concat())
    }

    /// Gets JSON.
    ///
    /// # Errors
    /// What the system says, an answer that does not come whole, is not 200 or not JSON.
    pub(crate) fn get(&mut self, path: &str) -> io::Result<Value> {
        let request = format!("GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", self.address);
        // A server may close a connection on which nothing is under way; asking twice does no harm.
        let answered = self.exchange(request.as_bytes()).or_else(|_| {
            *self = Self::connect(self.address)?;
            self.exchange(request.as_bytes())
        })?;
        let text = String::from_utf8_lossy(&answered.body);
        if answered.status != 200 {
            return Err(io::Error::other(format!("GET {path}: expected 200, found {}: {text}", answered.status)));
        }
        serde_json::from_str(&text).map_err(io::Error::other)
    }

    fn exchange(&mut self, request: &[u8]) -> io::Result<Answered> {
        self.stream.write_all(request)?;
        let (mut received, mut piece) = (Vec::new(), [0; 16 * 1024]);
        while received.len() <= LONGEST_ANSWER {
            let length = self.stream.read(&mut piece)?;
            if length == 0 {
                return Err(io::Error::new(
                    io::ErrorKind::UnexpectedEof,
                    "the connection was closed before the answer was whole",
                ));
            }
            received.extend_from_slice(&piece[..length]);
            if let Some(answer) = answer::Answer::read(&received).map_err(io::Error::other)? {
                let event = answer.event().map(Into::into);
                let answered = Answered { status: answer.status, event, body: answer.body.into() };
                if answer.closes {
                    *self = Self::connect(self.address)?;
                }
                return Ok(answered);
            }
        }
        Err(io::Error::other(format!("an answer is longer than {LONGEST_ANSWER} bytes")))
    }
}
