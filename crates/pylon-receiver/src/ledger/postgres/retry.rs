//! Transactions: bounded in time, and tried again where others are in their way.

use super::database::Database;
use super::error::Fault;

/// How often something is tried at once when others are in its way.
const MOST_TRIES: usize = 5;

impl Database {
    /// Does the work, which is one transaction, within the time that the database has for an answer; at once again where another
    /// transaction was in its way.
    pub(super) async fn tried<T, W>(&self, mut work: impl FnMut() -> W) -> Result<T, Fault>
    where
        W: Future<Output = Result<T, Fault>>,
    {
        let within = self.options.answer_within;
        let mut tries = 1;
        loop {
            let late = || Fault::Away(format!("the database gave no answer within {within:?}").into());
            match tokio::time::timeout(within, work()).await.unwrap_or_else(|_| Err(late())) {
                Err(Fault::Again(_)) if tries < MOST_TRIES => tries += 1,
                result => return result,
            }
        }
    }
}
