//! Waiting for a condition, with a bound.

use std::time::{Duration, Instant};

/// How long a test waits for what should happen.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Asks every few milliseconds until there is an answer.
///
/// # Panics
/// If there is none in time.
#[track_caller]
pub fn eventually<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(began.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
