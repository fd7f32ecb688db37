//! The operators of a receiver.

use crate::operator_role::OperatorRole;
use http::HeaderName;
use std::fmt;
use std::sync::Arc;
use zeroize::Zeroizing;

/// Who may read and order.
#[derive(Debug, Clone)]
pub enum Access {
    /// Everybody on this machine, as the peer's address says, but no web page that is open there: a request has to name a loopback
    /// host and must not come from a page of another host or through a proxy.
    Loopback,
    /// These operators, each with a token: `authorization: Bearer TOKEN`, or a session of the page that began with the token.
    /// `/livez` and `/readyz` need no token, but without it `/readyz` does not say why the receiver is not ready.
    Tokens(Vec<Operator>),
}

impl Access {
    /// One token for everybody, who is called `admin` and may give orders.
    pub fn token(token: Zeroizing<Vec<u8>>) -> Self {
        Self::Tokens(vec![Operator { name: "admin".into(), role: OperatorRole::Operator, token, user_header: None }])
    }
}

/// Somebody who presents a token.
#[derive(Clone)]
pub struct Operator {
    /// The name, as orders keep it.
    pub name: Arc<str>,
    /// What the operator may do.
    pub role: OperatorRole,
    /// The token.
    pub token: Zeroizing<Vec<u8>>,
    /// The header with who asks, of an operator that is a proxy. It counts beside the token alone.
    pub user_header: Option<HeaderName>,
}

impl fmt::Debug for Operator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Operator").field("name", &self.name).field("role", &self.role).finish_non_exhaustive()
    }
}
