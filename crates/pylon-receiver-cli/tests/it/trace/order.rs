//! What the calls of a traced process show.

use std::fmt;

pub(super) const NEVER_ANSWERED: &str = "expected an answer of 200 on a socket, found none";
pub(super) const NEVER_WRITTEN: &str =
    "expected the event to be written to a file before the answer, found no such write";

/// What a call did.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Deed {
    /// Wrote or sent these bytes.
    Write(Vec<u8>),
    /// Waited until what was written is on the disk.
    Sync,
}

impl fmt::Debug for Deed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Write(bytes) => {
                let begin = String::from_utf8_lossy(&bytes[..bytes.len().min(16)]);
                write!(f, "write of {} bytes, {begin:?}...", bytes.len())
            }
            Self::Sync => f.write_str("sync"),
        }
    }
}

/// A system call. The tracer numbers entries and exits in the one order in which it let them happen.
#[derive(Debug, Clone)]
pub(super) struct Call {
    pub(super) deed: Deed,
    /// The path of the file, `socket:[..]`, `pipe:[..]`.
    pub(super) target: String,
    pub(super) entered: usize,
    /// None while it has not returned.
    pub(super) left: Option<usize>,
    pub(super) result: i64,
}

/// That the order holds, and where.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Proof {
    /// The file that holds the event.
    pub(super) file: String,
}

/// Whether the event that holds the marker was written to a file and the file synced after the last write to it, all before
/// the first answer of 200 was sent.
pub(super) fn check(calls: &[Call], marker: &[u8]) -> Result<Proof, String> {
    let is_answer = |call: &&Call| {
        call.target.starts_with("socket:")
            && matches!(&call.deed, Deed::Write(bytes) if bytes.starts_with(b"HTTP/1.1 200"))
    };
    let answer = calls.iter().find(is_answer).ok_or(NEVER_ANSWERED)?;
    let before = || calls.iter().filter(|call| call.entered < answer.entered);
    let holds_marker = |bytes: &[u8]| bytes.windows(marker.len()).any(|window| window == marker);
    let file = before()
        .find(|call| call.target.starts_with('/') && matches!(&call.deed, Deed::Write(bytes) if holds_marker(bytes)))
        .map(|call| call.target.clone())
        .ok_or(NEVER_WRITTEN)?;
    let of_file = || before().filter(|call| call.target == file);
    // A write that has not returned may still reach the file after any sync.
    let written = of_file().filter(|call| call.deed != Deed::Sync).map(|call| call.left.unwrap_or(usize::MAX)).max();
    let is_sync_between = |call: &Call| {
        call.deed == Deed::Sync
            && call.result == 0
            && written.is_some_and(|written| call.entered > written)
            && call.left.is_some_and(|left| left < answer.entered)
    };
    if of_file().any(is_sync_between) {
        Ok(Proof { file })
    } else {
        Err(format!("expected a sync of {file} between the last write to it and the answer, found none"))
    }
}
