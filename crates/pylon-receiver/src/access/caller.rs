//! Who asks.

use crate::operator_role::OperatorRole;
use std::sync::Arc;

/// The caller, as a handler finds it in the request's extensions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Caller {
    /// Somebody on this machine, without a name.
    Local,
    /// An operator.
    Operator {
        /// The name.
        name: Arc<str>,
        /// What the operator may do.
        role: OperatorRole,
    },
    /// May know whether the receiver is ready, and nothing else.
    Anybody,
}

impl Caller {
    /// Whether the caller may read everything.
    pub(crate) fn may_read(&self) -> bool {
        *self != Self::Anybody
    }

    /// Whether the caller may give orders.
    pub(crate) fn may_order(&self) -> bool {
        match self {
            Self::Local => true,
            Self::Operator { role, .. } => *role == OperatorRole::Operator,
            Self::Anybody => false,
        }
    }

    /// The name; none: nobody said one.
    pub(crate) fn name(&self) -> Option<&str> {
        match self {
            Self::Operator { name, .. } => Some(name),
            Self::Local | Self::Anybody => None,
        }
    }
}
