//! Refusals.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The answer to a request that the API refuses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ErrorAnswer {
    /// A stable code, such as `bad_request` or `ledger_full`.
    pub error: String,
    /// One sentence: what was expected, what was found, what to do.
    pub message: String,
}
