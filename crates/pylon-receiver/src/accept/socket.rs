//! A connection's socket, with limited patience for a slow peer.

use super::progress::{Phase, Progress};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

/// How long the rest of a refused request is read and discarded.
const LINGER: Duration = Duration::from_secs(1);

/// What a peer is told whose head takes too long.
const TOO_LATE: &[u8] = b"HTTP/1.1 408 Request Timeout\r\ncontent-type: application/json\r\ncontent-length: 19\r\n\
    connection: close\r\n\r\n{\"error\":\"timeout\"}";

/// How long a [`Socket`] waits for its peer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// For the head of a request: from the opening of the connection, or from the first byte of a further head. Also for a peer
    /// that reads nothing.
    pub(super) head: Duration,
    /// For the first byte of a further request.
    pub(super) idle: Duration,
}

/// A socket that ends when its peer is silent for too long, that ends with an error when its peer reads nothing, and that closes so
/// that the peer can read the last answer.
///
/// hyper has one time-out for an idle connection and for a head that has begun; a proxy in front keeps idle connections longer than
/// a head may take. Without a limit on writing, a peer that sends requests and reads no answers would hold its place for ever. And a
/// socket that is closed with unread data resets the connection, so that the peer may see an error and not the answer. So after an
/// answer that may have come before the whole request was read, the socket reads on for a moment.
pub(super) struct Socket<S> {
    stream: S,
    patience: Patience,
    progress: Arc<Progress>,
    /// The end of the wait for the peer's next bytes.
    due: Pin<Box<Sleep>>,
    /// What the peer is waited for: after how many answers, and whether for the rest of a further head.
    awaited: (u32, bool),
    /// Whether the peer took too long for a head, and was told so.
    is_late: bool,
    stalled: Option<Pin<Box<Sleep>>>,
    lingering: Option<Pin<Box<Sleep>>>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Socket<S> {
    /// A socket with this patience for its peer.
    pub(super) fn new(stream: S, patience: Patience, progress: Arc<Progress>) -> Self {
        let due = Box::pin(sleep(patience.head));
        Self { stream, patience, progress, due, awaited: (0, false), is_late: false, stalled: None, lingering: None }
    }

    /// Waits for the peer's next bytes. In vain, the connection ends: in order where it is idle, and with an answer and an error
    /// where a head has begun.
    fn wait(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let (phase, answered) = self.progress.now();
        if phase == Phase::Busy {
            return Poll::Pending;
        }
        let awaited = (answered, answered > 0 && phase == Phase::Head);
        if awaited != self.awaited {
            self.awaited = awaited;
            let patience = if phase == Phase::Head { self.patience.head } else { self.patience.idle };
            self.due.as_mut().reset(Instant::now() + patience);
        }
        ready!(self.due.as_mut().poll(context));
        if phase == Phase::Quiet {
            return Poll::Ready(Ok(()));
        }
        self.is_late = true;
        self.progress.is_late();
        // Nothing else is being written, unless the peer does not read.
        if self.stalled.is_none() {
            let _ = Pin::new(&mut self.stream).poll_write(context, TOO_LATE);
        }
        self.end_late(context)
    }

    /// Closes after a head that took too long.
    fn end_late(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.close(context))?;
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }

    /// Closes so that the peer can read the last answer.
    fn close(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.lingering.is_none() {
            let polled = Pin::new(&mut self.stream).poll_shutdown(context);
            ready!(self.bounded(context, polled))?;
            if !self.progress.may_leave_unread() {
                return Poll::Ready(Ok(()));
            }
        }
        self.linger(context)
    }

    /// Makes an error of a wait that is too long.
    fn bounded<T>(&mut self, context: &mut Context<'_>, polled: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if polled.is_ready() {
            self.stalled = None;
            return polled;
        }
        let patience = self.patience.head;
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep(patience)));
        ready!(stalled.as_mut().poll(context));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }

    /// Reads and discards until the peer closes or the time is over.
    fn linger(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let end = self.lingering.get_or_insert_with(|| Box::pin(sleep(LINGER)));
        loop {
            if end.as_mut().poll(context).is_ready() {
                return Poll::Ready(Ok(()));
            }
            let mut discarded = [0; 8192];
            let mut buffer = ReadBuf::new(&mut discarded);
            match ready!(Pin::new(&mut self.stream).poll_read(context, &mut buffer)) {
                Ok(()) if !buffer.filled().is_empty() => {}
                // The peer closed, or the connection broke.
                _ => return Poll::Ready(Ok(())),
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Socket<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.is_late {
            return self.end_late(context);
        }
        let before = buffer.filled().len();
        let Poll::Ready(read) = Pin::new(&mut self.stream).poll_read(context, buffer) else {
            return self.wait(context);
        };
        read?;
        self.progress.said(&buffer.filled()[before..]);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Socket<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.bounded(context, polled)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.bounded(context, polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_flush(context);
        self.bounded(context, polled)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.close(context)
    }
}
