//! The first bytes of what a peer says, by which it is known what the peer speaks.

use super::connection_refusal::ConnectionRefusal;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// How many bytes tell the protocols apart.
const KEPT: usize = 16;

/// The first bytes of what a peer says. Line ends before them do not count: HTTP allows them.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Beginning {
    bytes: [u8; KEPT],
    /// How many bytes have been said.
    length: usize,
}

impl Beginning {
    /// Adds what was said next.
    pub(super) fn add(&mut self, said: &[u8]) {
        let is_line_end = |byte: &&u8| matches!(byte, b'\r' | b'\n');
        let before = if self.length == 0 { said.iter().take_while(is_line_end).count() } else { 0 };
        let said = &said[before..];
        let kept = self.length.min(KEPT);
        let room = &mut self.bytes[kept..];
        let added = said.len().min(room.len());
        room[..added].copy_from_slice(&said[..added]);
        self.length += said.len();
    }

    /// How many bytes have been said.
    pub(super) fn length(&self) -> usize {
        self.length
    }

    /// Whether nothing has been said.
    pub(super) fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// The other protocol that was spoken where HTTP/1.1 was expected.
    pub(super) fn instead_of_http(&self) -> Option<ConnectionRefusal> {
        match self.kept() {
            // A handshake record of TLS 1.0 or later.
            [0x16, 0x03, ..] => Some(ConnectionRefusal::Tls),
            said if said.starts_with(b"PRI * HTTP/2") => Some(ConnectionRefusal::Http2),
            said => is_proxy_header(said).then_some(ConnectionRefusal::ProxyProtocol),
        }
    }

    /// The other protocol that was spoken where TLS was expected.
    pub(super) fn instead_of_tls(&self) -> Option<ConnectionRefusal> {
        let said = self.kept();
        if is_proxy_header(said) {
            return Some(ConnectionRefusal::ProxyProtocol);
        }
        let is_method = said.len() >= 3 && said[..3].iter().all(u8::is_ascii_uppercase);
        is_method.then_some(ConnectionRefusal::PlainHttp)
    }

    fn kept(&self) -> &[u8] {
        &self.bytes[..self.length.min(KEPT)]
    }
}

/// The header of the PROXY protocol, of version 1 or 2, without the line ends before the latter.
/// <https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt>
fn is_proxy_header(said: &[u8]) -> bool {
    said.starts_with(b"PROXY ") || said.starts_with(b"\0\r\nQUIT\n")
}

/// A stream that remembers the first bytes that it reads.
#[derive(Debug)]
pub(super) struct Remembering<S> {
    stream: S,
    pub(super) beginning: Beginning,
}

impl<S> Remembering<S> {
    pub(super) fn new(stream: S) -> Self {
        Self { stream, beginning: Beginning::default() }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Remembering<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        self.beginning.add(&buffer.filled()[before..]);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Remembering<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
