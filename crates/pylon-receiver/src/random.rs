//! Random bytes.

use std::time::Duration;

/// A source of random bytes. Any `Fn(&mut [u8])` that fills the slice is one.
pub trait Randomness: Send + Sync + 'static {
    /// Fills the bytes.
    fn fill(&self, bytes: &mut [u8]);

    /// A random duration from zero to the whole, in milliseconds.
    fn part_of(&self, whole: Duration) -> Duration {
        let mut bytes = [0; 8];
        self.fill(&mut bytes);
        let most = u64::try_from(whole.as_millis()).unwrap_or(u64::MAX).saturating_add(1);
        // The bias is one part in 2^64 for each millisecond.
        Duration::from_millis(u64::from_le_bytes(bytes) % most)
    }
}

impl<F: Fn(&mut [u8]) + Send + Sync + 'static> Randomness for F {
    fn fill(&self, bytes: &mut [u8]) {
        self(bytes);
    }
}

/// The operating system's source of random bytes.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemRandomness;

impl Randomness for SystemRandomness {
    fn fill(&self, bytes: &mut [u8]) {
        getrandom::fill(bytes).expect("an operating system that gives no random bytes cannot run TLS either");
    }
}
