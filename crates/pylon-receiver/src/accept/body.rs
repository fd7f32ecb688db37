//! A request's body, read up to the limit and within a time.

use bytes::{Buf, Bytes};
use http_body::Body;
use http_body_util::BodyExt;
use pylon_webhooks::{Gate, RequestFault};
use std::pin::pin;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// Room that is made at once for a body in pieces, in bytes: a declared length costs its sender nothing, memory would cost us.
const FIRST_ROOM: usize = 64 * 1024;

/// What was read of a body, and whether that is all of it.
pub(super) struct Reading {
    /// The bytes.
    pub(super) bytes: Bytes,
    /// Why there are no more of them.
    pub(super) end: Result<(), BodyFault>,
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
pub(super) async fn read<B: Body>(body: B, gate: Gate, declared: Option<u64>, within: Duration) -> Reading {
    let deadline = Instant::now() + within;
    let mut body = pin!(body);
    let mut read = Pieces::default();
    let end = loop {
        let frame = match timeout_at(deadline, body.frame()).await {
            Err(_) => break Err(BodyFault::Timeout),
            Ok(None) => break gate.check_length(declared, read.length()).map_err(BodyFault::Request),
            Ok(Some(Err(_))) => break Err(BodyFault::Request(broken(declared, read.length()))),
            Ok(Some(Ok(frame))) => frame,
        };
        // Trailers are no part of what was signed.
        let Ok(mut piece) = frame.into_data() else { continue };
        if piece.remaining() > gate.body_limit - read.length() {
            let room = gate.body_limit - read.length();
            read.add(piece.copy_to_bytes(room), gate.body_limit);
            break Err(BodyFault::Request(RequestFault::TooLarge { limit: gate.body_limit }));
        }
        let length = piece.remaining();
        read.add(piece.copy_to_bytes(length), declared.map_or(length, |declared| declared as usize));
    };
    Reading { bytes: read.into_bytes(), end }
}

/// What to call the end of a connection in the midst of a body.
fn broken(declared: Option<u64>, found: usize) -> RequestFault {
    match declared {
        Some(expected) if expected > found as u64 => RequestFault::Incomplete { expected, found },
        _ => RequestFault::Broken,
    }
}

/// The pieces of a body; the first one stays as it is until a second one comes.
#[derive(Default)]
struct Pieces {
    first: Bytes,
    joined: Vec<u8>,
}

impl Pieces {
    fn length(&self) -> usize {
        self.first.len() + self.joined.len()
    }

    fn add(&mut self, piece: Bytes, expected: usize) {
        if self.length() == 0 {
            self.first = piece;
            return;
        }
        if self.joined.is_empty() {
            self.joined.reserve(
                expected.clamp(self.first.len() + piece.len(), FIRST_ROOM.max(self.first.len() + piece.len())),
            );
            self.joined.extend_from_slice(&std::mem::take(&mut self.first));
        }
        self.joined.extend_from_slice(&piece);
    }

    fn into_bytes(self) -> Bytes {
        if self.joined.is_empty() { self.first } else { self.joined.into() }
    }
}
