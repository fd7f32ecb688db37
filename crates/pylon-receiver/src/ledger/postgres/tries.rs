//! Work that is one transaction: bounded in time, and tried again where others are in its way.

use super::error::Fault;
use std::time::Duration;

/// How long one transaction may take. The server ends what takes too long, and says so, long before: this is for a server that says
/// nothing.
pub(super) const ANSWERED_WITHIN: Duration = Duration::from_secs(15);
/// How often something is tried at once when others are in its way.
const MOST_TRIES: usize = 5;

/// Does the work, which is one transaction, within this time; at once again where another transaction was in its way.
pub(super) async fn tried_within<T, W>(within: Duration, mut work: impl FnMut() -> W) -> Result<T, Fault>
where
    W: Future<Output = Result<T, Fault>>,
{
    for _ in 1..MOST_TRIES {
        match once(within, work()).await {
            Err(Fault::Again(_)) => {}
            result => return result,
        }
    }
    once(within, work()).await
}

/// Does the work, which is one transaction, within a bounded time.
pub(super) async fn once<T>(within: Duration, work: impl Future<Output = Result<T, Fault>>) -> Result<T, Fault> {
    match tokio::time::timeout(within, work).await {
        Ok(result) => result,
        Err(_) => Err(Fault::Away(format!("the database gave no answer in {} s", within.as_secs()).into())),
    }
}
