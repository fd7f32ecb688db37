//! A stream that still hears the answer when the server does not take the whole request.
//!
//! A server may answer before it has read the body, and close. Then writing fails while the answer waits to be read; hyper would give
//! up at the failed write.

use super::stream::Stream;
use std::io::{IoSlice, Result};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Drops what cannot be written, and lets the reading side tell how the connection ends.
pub(super) struct Hearing {
    stream: Box<dyn Stream>,
    takes_no_more: bool,
}

impl Hearing {
    pub(super) fn new(stream: Box<dyn Stream>) -> Self {
        Self { stream, takes_no_more: false }
    }

    /// The result of writing this many bytes.
    fn written(&mut self, result: Result<usize>, length: usize) -> Poll<Result<usize>> {
        self.takes_no_more |= result.is_err();
        Poll::Ready(Ok(result.unwrap_or(length)))
    }

    fn ended(&mut self, result: Result<()>) -> Poll<Result<()>> {
        self.takes_no_more |= result.is_err();
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Hearing {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Hearing {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize>> {
        if self.takes_no_more {
            return Poll::Ready(Ok(bytes.len()));
        }
        let result = ready!(Pin::new(&mut self.stream).poll_write(context, bytes));
        self.written(result, bytes.len())
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        let length = slices.iter().map(|slice| slice.len()).sum();
        if self.takes_no_more {
            return Poll::Ready(Ok(length));
        }
        let result = ready!(Pin::new(&mut self.stream).poll_write_vectored(context, slices));
        self.written(result, length)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        if self.takes_no_more {
            return Poll::Ready(Ok(()));
        }
        let result = ready!(Pin::new(&mut self.stream).poll_flush(context));
        self.ended(result)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        let result = ready!(Pin::new(&mut self.stream).poll_shutdown(context));
        self.ended(result)
    }
}
