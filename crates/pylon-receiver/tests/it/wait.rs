//! Bounded waits: a test that waits in vain fails, and says where and for what.

use std::panic::Location;
use std::time::Duration;

/// Longer than anything takes that a test waits for.
pub(crate) const LONGEST: Duration = Duration::from_secs(20);

/// The output of the future, if it comes in time.
#[track_caller]
pub(crate) fn within<T>(what: &str, future: impl Future<Output = T>) -> impl Future<Output = T> {
    let caller = Location::caller();
    async move { tokio::time::timeout(LONGEST, future).await.unwrap_or_else(|_| panic!("{caller}: never: {what}")) }
}

/// Waits until it holds.
#[track_caller]
pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) -> impl Future<Output = ()> {
    within(what, async move {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
}
