//! What an operator may do.

use serde::{Deserialize, Serialize};

/// What an operator may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OperatorRole {
    /// Read, and give no orders.
    Reader,
    /// Read, and give orders.
    #[default]
    Operator,
}
