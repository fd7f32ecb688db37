//! The other end of a connection: bytes out, answers in.

use crate::wait::within;
use serde_json::Value;
use std::net::{Ipv4Addr, SocketAddr};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

/// A sender.
pub(crate) struct Peer<S = TcpStream> {
    pub(crate) stream: S,
    read: Vec<u8>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    /// The event's id, where it was accepted.
    #[track_caller]
    pub(crate) fn id(&self) -> String {
        assert_eq!(self.status, 200, "{self:?}");
        self.json()["id"].as_str().unwrap().to_owned()
    }
}

impl Peer {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        Self::over(TcpStream::connect(address).await.unwrap())
    }

    /// From the address of loopback with this number.
    pub(crate) async fn connect_from(number: u8, address: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind((Ipv4Addr::new(127, 0, 0, number), 0).into()).unwrap();
        Self::over(socket.connect(address).await.unwrap())
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Peer<S> {
    pub(crate) fn over(stream: S) -> Self {
        Self { stream, read: Vec::new() }
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        let sending = async {
            self.stream.write_all(bytes).await?;
            self.stream.flush().await
        };
        within("the request is taken", sending).await.unwrap();
    }

    /// Sends as much as is taken, for a receiver may refuse before it has read all.
    pub(crate) async fn send_what_is_taken(&mut self, bytes: &[u8]) {
        let _ = within("the request is taken or refused", self.stream.write_all(bytes)).await;
    }

    /// The next answer; none when the connection ends before it.
    pub(crate) async fn next(&mut self) -> Option<Answer> {
        self.next_of("POST").await
    }

    pub(crate) async fn next_of(&mut self, method: &str) -> Option<Answer> {
        let end = loop {
            if let Some(end) = self.read.windows(4).position(|window| window == b"\r\n\r\n") {
                break end + 4;
            }
            self.more().await?;
        };
        let head = String::from_utf8(self.read.drain(..end).collect()).unwrap();
        let mut lines = head.trim_end().split("\r\n");
        let status = lines.next()?.split(' ').nth(1)?.parse().unwrap();
        let pairs = lines.map(|line| line.split_once(": ").unwrap());
        let headers: Vec<_> = pairs.map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned())).collect();
        let length =
            headers.iter().find(|(name, _)| name == "content-length").map(|(_, length)| length.parse().unwrap());
        let length: usize = if method == "HEAD" { 0 } else { length.unwrap_or(0) };
        while self.read.len() < length {
            self.more().await?;
        }
        let body = String::from_utf8(self.read.drain(..length).collect()).unwrap();
        Some(Answer { status, headers, body })
    }

    pub(crate) async fn answer(&mut self) -> Answer {
        self.next().await.expect("the connection ended before the answer")
    }

    /// Waits until the other end closes, and gives what it still said.
    pub(crate) async fn rest(&mut self) -> Vec<u8> {
        while self.more().await.is_some() {}
        std::mem::take(&mut self.read)
    }

    /// The same, after a sender's last byte.
    pub(crate) async fn rest_after_half_close(&mut self) -> Vec<u8> {
        // It may be closed already.
        let _ = self.stream.shutdown().await;
        self.rest().await
    }

    async fn more(&mut self) -> Option<()> {
        let mut piece = [0; 4096];
        match within("the receiver answers or closes", self.stream.read(&mut piece)).await {
            Ok(0) | Err(_) => None,
            Ok(length) => {
                self.read.extend_from_slice(&piece[..length]);
                Some(())
            }
        }
    }
}
