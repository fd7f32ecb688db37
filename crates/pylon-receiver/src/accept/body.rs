//! Reads a request's body within a time and within the memory that there is.

use super::memory::{Memory, NoMemory};
use bytes::{Buf, Bytes};
use http_body::Body;
use http_body_util::BodyExt;
use pylon_webhooks::{Admitted, Received, RequestFault};
use std::net::IpAddr;
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
    /// All bodies together take the memory that there is.
    NoMemory,
}

impl From<NoMemory> for BodyFault {
    fn from(NoMemory: NoMemory) -> Self {
        Self::NoMemory
    }
}

/// How the reading of a body ended.
enum End {
    Complete,
    Broken,
    Fault(BodyFault),
}

/// Reads a body that comes from this address. It is copied out of the connection's buffer, which is larger than most bodies.
pub(super) async fn read<B: Body>(
    body: B,
    admitted: Admitted,
    within: Duration,
    memory: &Memory,
    address: Option<IpAddr>,
) -> Reading {
    let deadline = Instant::now() + within;
    let mut body = pin!(body);
    // One byte beyond the limit is enough to see that the body is too large.
    let most = admitted.body_limit().saturating_add(1);
    let declared = admitted.declared_length().and_then(|length| usize::try_from(length).ok());
    let mut growing = memory.body(declared, most, address);
    let end = loop {
        let frame = match timeout_at(deadline, body.frame()).await {
            Err(_) => break End::Fault(BodyFault::Timeout),
            Ok(None) => break End::Complete,
            Ok(Some(Err(_))) => break End::Broken,
            Ok(Some(Ok(frame))) => frame,
        };
        // Trailers are not signed.
        let Ok(mut piece) = frame.into_data() else { continue };
        let length = piece.remaining().min(most - growing.len());
        if let Err(fault) = growing.add(&piece.copy_to_bytes(length)) {
            break End::Fault(fault.into());
        }
        if growing.len() == most {
            break End::Complete;
        }
    };
    let bytes = growing.into_bytes();
    let mut arriving = admitted.arriving();
    let fault = match (arriving.push(bytes.clone()), end) {
        (Err(fault), _) => BodyFault::Request(fault),
        (Ok(()), End::Complete) => match arriving.end() {
            Ok(received) => return Reading { bytes, end: Ok(received) },
            Err(fault) => BodyFault::Request(fault),
        },
        (Ok(()), End::Broken) => BodyFault::Request(arriving.broken()),
        (Ok(()), End::Fault(fault)) => fault,
    };
    Reading { bytes: arriving.into_bytes(), end: Err(fault) }
}
