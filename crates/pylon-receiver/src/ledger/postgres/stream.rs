//! The stream to the server: a socket, or TLS on it. It watches what passes.

use super::pulse::{Pulse, Watch};
use sha2::{Digest, Sha256, Sha384, Sha512};
use std::convert::Infallible;
use std::future::{Ready, ready};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_postgres::tls::{ChannelBinding, TlsConnect};
use tokio_rustls::client::TlsStream;
use x509_cert::Certificate;
use x509_cert::der::Decode;
use x509_cert::der::oid::db::rfc5912;

/// What carries the bytes.
pub(super) enum Carrier {
    Tcp(TcpStream),
    Unix(UnixStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// A stream to the server that is ready for its first message.
pub(super) struct Stream {
    carrier: Carrier,
    watch: Watch,
    pulse: Arc<Pulse>,
}

impl Stream {
    pub(super) fn new(carrier: Carrier, pulse: Arc<Pulse>) -> Self {
        Self { carrier, watch: Watch::default(), pulse }
    }
}

impl Carrier {
    fn reader(&mut self) -> Pin<&mut (dyn AsyncRead + Unpin)> {
        match self {
            Self::Tcp(stream) => Pin::new(stream),
            Self::Unix(stream) => Pin::new(stream),
            Self::Tls(stream) => Pin::new(&mut **stream),
        }
    }

    fn writer(&mut self) -> Pin<&mut (dyn AsyncWrite + Unpin)> {
        match self {
            Self::Tcp(stream) => Pin::new(stream),
            Self::Unix(stream) => Pin::new(stream),
            Self::Tls(stream) => Pin::new(&mut **stream),
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = into.filled().len();
        let polled = this.carrier.reader().poll_read(context, into);
        if polled.is_ready() {
            this.watch.received(&into.filled()[before..], &this.pulse);
        }
        polled
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let polled = this.carrier.writer().poll_write(context, bytes);
        if let Poll::Ready(Ok(written)) = polled {
            this.watch.sent(&bytes[..written], &this.pulse);
        }
        polled
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let polled = this.carrier.writer().poll_write_vectored(context, slices);
        if let Poll::Ready(Ok(mut written)) = polled {
            for slice in slices {
                let part = written.min(slice.len());
                this.watch.sent(&slice[..part], &this.pulse);
                written -= part;
            }
        }
        polled
    }

    fn is_write_vectored(&self) -> bool {
        match &self.carrier {
            Carrier::Tcp(stream) => stream.is_write_vectored(),
            Carrier::Unix(stream) => stream.is_write_vectored(),
            Carrier::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().carrier.writer().poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().carrier.writer().poll_shutdown(context)
    }
}

impl tokio_postgres::tls::TlsStream for Stream {
    /// The hash of the server's certificate, by which a password is proved to nobody in between (RFC 5929).
    fn channel_binding(&self) -> ChannelBinding {
        let Carrier::Tls(stream) = &self.carrier else { return ChannelBinding::none() };
        let certificate = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
        let hash = certificate.and_then(|certificate| hash_of(certificate));
        hash.map_or_else(ChannelBinding::none, ChannelBinding::tls_server_end_point)
    }
}

/// Hashes a certificate as its own signature does; in the place of MD5 and SHA-1, as SHA-256 does.
fn hash_of(certificate: &[u8]) -> Option<Vec<u8>> {
    let algorithm = Certificate::from_der(certificate).ok()?.signature_algorithm().oid;
    Some(match algorithm {
        rfc5912::SHA_1_WITH_RSA_ENCRYPTION | rfc5912::SHA_256_WITH_RSA_ENCRYPTION | rfc5912::ECDSA_WITH_SHA_256 => {
            Sha256::digest(certificate).to_vec()
        }
        rfc5912::SHA_384_WITH_RSA_ENCRYPTION | rfc5912::ECDSA_WITH_SHA_384 => Sha384::digest(certificate).to_vec(),
        rfc5912::SHA_512_WITH_RSA_ENCRYPTION | rfc5912::ECDSA_WITH_SHA_512 => Sha512::digest(certificate).to_vec(),
        // Such as Ed25519, for which nothing is agreed upon.
        _ => return None,
    })
}

/// Passes a stream on that is secured already: tokio-postgres learns only from such a stream which certificate the server has.
pub(super) struct Secured;

impl TlsConnect<Stream> for Secured {
    type Stream = Stream;
    type Error = Infallible;
    type Future = Ready<Result<Stream, Infallible>>;

    fn connect(self, stream: Stream) -> Self::Future {
        ready(Ok(stream))
    }
}
