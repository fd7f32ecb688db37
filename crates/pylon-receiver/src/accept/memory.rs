//! The memory that the bodies of all requests share, from their first byte to their commit.

use bytes::Bytes;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The room that is made at once for a body, in bytes: a declared length costs its sender nothing, memory costs us.
const FIRST_ROOM: usize = 64 * 1024;
/// The same where no length is declared.
const UNDECLARED_ROOM: usize = 4 * 1024;

/// The memory for bodies. One address has half of it at most, so that it cannot keep out all others; each has room for one body of
/// the largest size. Clones share the memory.
#[derive(Debug, Clone)]
pub(super) struct Memory {
    /// In bytes.
    all: usize,
    taken: Arc<Mutex<Taken>>,
}

/// How many bytes are taken.
#[derive(Debug, Default)]
struct Taken {
    all: usize,
    of_address: HashMap<IpAddr, usize>,
}

/// There is no memory left, or none for this address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NoMemory;

impl Memory {
    /// Memory of this many bytes.
    pub(super) fn new(all: usize) -> Self {
        Self { all, taken: Arc::default() }
    }

    /// An empty body of the declared length, and of this many bytes at most. It comes from an address that has a share of the memory;
    /// none: from peers that have none.
    pub(super) fn body(&self, declared: Option<usize>, most: usize, address: Option<IpAddr>) -> GrowingBody {
        let held = Held { bytes: Vec::new(), memory: self.clone(), address, taken: 0 };
        let expected = declared.map_or(most, |declared| declared.min(most));
        let first = declared.map_or(UNDECLARED_ROOM, |_| FIRST_ROOM);
        GrowingBody { held, expected, first, share: (self.all / 2).max(most) }
    }

    /// Takes memory for an address whose share is this large.
    fn take(&self, bytes: usize, address: Option<IpAddr>, share: usize) -> Result<(), NoMemory> {
        let mut taken = self.taken();
        let of_address = address.map_or(0, |address| taken.of_address.get(&address).copied().unwrap_or(0));
        if bytes > self.all - taken.all || of_address + bytes > share {
            return Err(NoMemory);
        }
        taken.all += bytes;
        if let Some(address) = address {
            taken.of_address.insert(address, of_address + bytes);
        }
        Ok(())
    }

    fn give_back(&self, bytes: usize, address: Option<IpAddr>) {
        let mut taken = self.taken();
        taken.all -= bytes;
        if let Some(address) = address
            && let Some(of_address) = taken.of_address.get_mut(&address)
        {
            *of_address -= bytes;
            if *of_address == 0 {
                taken.of_address.remove(&address);
            }
        }
    }

    // A panic while the lock is held cannot leave the counts half changed.
    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
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
    /// What all bodies from its address may take.
    share: usize,
}

impl GrowingBody {
    pub(super) fn len(&self) -> usize {
        self.held.bytes.len()
    }

    /// Adds a piece. What an allocation holds counts, not what is in it: it doubles with the body, up to the expected length.
    pub(super) fn add(&mut self, piece: &[u8]) -> Result<(), NoMemory> {
        let Held { bytes, memory, address, taken } = &mut self.held;
        let needed = bytes.len() + piece.len();
        if needed > *taken {
            let room = self.first.max(*taken * 2).min(self.expected).max(needed);
            memory.take(room - *taken, *address, self.share)?;
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
    address: Option<IpAddr>,
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
        self.memory.give_back(self.taken, self.address);
    }
}
