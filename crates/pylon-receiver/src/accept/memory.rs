//! The memory that the bodies of all requests share, from their first byte to their commit.

use bytes::Bytes;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The room that is made at once for a body, in bytes: a declared length costs its sender nothing, memory costs us.
const FIRST_ROOM: usize = 64 * 1024;
/// The same where no length is declared.
const UNDECLARED_ROOM: usize = 4 * 1024;

/// The memory that is left for bodies, in bytes. Clones share it.
#[derive(Debug, Clone)]
pub(super) struct Memory(Arc<AtomicUsize>);

/// There is no memory left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NoMemory;

impl Memory {
    /// Memory of this many bytes.
    pub(super) fn new(bytes: usize) -> Self {
        Self(Arc::new(AtomicUsize::new(bytes)))
    }

    /// An empty body of the declared length, and of this many bytes at most.
    pub(super) fn body(&self, declared: Option<usize>, most: usize) -> GrowingBody {
        let held = Held { bytes: Vec::new(), memory: self.clone(), taken: 0 };
        let expected = declared.map_or(most, |declared| declared.min(most));
        let first = declared.map_or(UNDECLARED_ROOM, |_| FIRST_ROOM);
        GrowingBody { held, expected, first }
    }

    fn take(&self, bytes: usize) -> Result<(), NoMemory> {
        let left = |left: usize| left.checked_sub(bytes);
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, left).map(drop).map_err(|_| NoMemory)
    }

    fn give_back(&self, bytes: usize) {
        self.0.fetch_add(bytes, Ordering::Relaxed);
    }
}

/// A body while it arrives, in memory that it has taken.
#[derive(Debug)]
pub(super) struct GrowingBody {
    held: Held,
    /// The largest length that the body may come to.
    expected: usize,
    /// The first room.
    first: usize,
}

impl GrowingBody {
    pub(super) fn len(&self) -> usize {
        self.held.bytes.len()
    }

    /// Adds a piece. What an allocation holds counts, not what is in it: it doubles with the body, up to the expected length.
    pub(super) fn add(&mut self, piece: &[u8]) -> Result<(), NoMemory> {
        let Held { bytes, memory, taken } = &mut self.held;
        let needed = bytes.len() + piece.len();
        if needed > *taken {
            let room = self.first.max(*taken * 2).min(self.expected).max(needed);
            memory.take(room - *taken)?;
            *taken = room;
            bytes.reserve_exact(room - bytes.len());
        }
        bytes.extend_from_slice(piece);
        Ok(())
    }

    /// The bytes so far. They give their memory back when the last of them are dropped.
    pub(super) fn into_bytes(self) -> Bytes {
        if self.len() == 0 { Bytes::new() } else { Bytes::from_owner(self.held) }
    }
}

/// Bytes, and the memory that they have taken.
#[derive(Debug)]
struct Held {
    bytes: Vec<u8>,
    memory: Memory,
    taken: usize,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.bytes = Vec::new();
        self.memory.give_back(self.taken);
    }
}
