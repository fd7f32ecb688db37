//! Reads a request's body within a time.

use bytes::{Buf, Bytes};
use http_body::Body;
use http_body_util::BodyExt;
use pylon_webhooks::{Admitted, Received, RequestFault};
use std::pin::pin;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// What was read of a body, and whether it is the whole body.
pub(super) struct Reading {
    /// The bytes.
    pub(super) bytes: Bytes,
    /// The whole body, or why the rest is missing.
    pub(super) end: Result<Received<'static>, BodyFault>,
}

/// Why a body was not read to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BodyFault {
    /// The body is too large or incomplete.
    Request(RequestFault),
    /// The body did not end in time.
    Timeout,
}

/// Reads a body. A body in one piece is not copied.
pub(super) async fn read<B: Body>(body: B, admitted: Admitted, within: Duration) -> Reading {
    let deadline = Instant::now() + within;
    let mut body = pin!(body);
    let mut arriving = admitted.arriving();
    let fault = loop {
        let frame = match timeout_at(deadline, body.frame()).await {
            Err(_) => break BodyFault::Timeout,
            Ok(None) => match arriving.end() {
                Ok(received) => {
                    return Reading { bytes: received.body().clone().into_bytes(), end: Ok(received) };
                }
                Err(fault) => break BodyFault::Request(fault),
            },
            Ok(Some(Err(_))) => break BodyFault::Request(arriving.broken()),
            Ok(Some(Ok(frame))) => frame,
        };
        // Trailers are not signed.
        let Ok(mut piece) = frame.into_data() else { continue };
        // Copies one byte beyond the limit at most: enough to see that the body is too large.
        let length = piece.remaining().min(arriving.room().saturating_add(1));
        if let Err(fault) = arriving.push(piece.copy_to_bytes(length)) {
            break BodyFault::Request(fault);
        }
    };
    Reading { bytes: arriving.into_bytes(), end: Err(fault) }
}
