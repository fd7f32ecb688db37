//! An open connection, whatever it goes through.

use tokio::io::{AsyncRead, AsyncWrite};

/// Bytes in both directions: a TCP connection, a Unix socket, or TLS over one of them.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}
