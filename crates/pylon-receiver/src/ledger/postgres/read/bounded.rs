//! One read, within a bounded time.

use super::super::connection::Connection;
use super::super::database::Database;
use super::super::error::Fault;
use super::super::lent::Lent;
use super::super::session::Use;
use super::super::tries::{ANSWERED_WITHIN, once};

/// Reads something. Its connection is closed if it ends in the middle: an answer may be under way.
pub(in super::super) async fn read<T>(
    database: &Database,
    work: impl AsyncFnOnce(&mut Connection) -> Result<T, Fault>,
) -> Result<T, Fault> {
    let mut connection = Lent::new(database.connection(Use::Read).await?);
    let result = once(ANSWERED_WITHIN, work(&mut connection)).await;
    connection.give_back(result)
}
