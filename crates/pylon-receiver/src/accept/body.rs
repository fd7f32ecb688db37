//! A request's body, read up to the limit and within a time.

use bytes::{Buf, Bytes};
use http_body::Body;
use http_body_util::BodyExt;
use pylon_webhooks::{Admitted, Received, RequestFault};
use std::pin::pin;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// What was read of a body, and whether that is all of it.
pub(super) struct Reading {
    /// The bytes.
    pub(super) bytes: Bytes,
    /// The whole body, or why there is no more of it.
    pub(super) end: Result<Received<'static>, BodyFault>,
}

/// Why a body was not read to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BodyFault {
    /// It is too large, or ended early.
    Request(RequestFault),
    /// It did not come in time.
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
        // Trailers are no part of what was signed.
        let Ok(mut piece) = frame.into_data() else { continue };
        // No copy is made of more than there is room for.
        let length = piece.remaining().min(arriving.room().saturating_add(1));
        if let Err(fault) = arriving.push(piece.copy_to_bytes(length)) {
            break BodyFault::Request(fault);
        }
    };
    Reading { bytes: arriving.into_bytes(), end: Err(fault) }
}
