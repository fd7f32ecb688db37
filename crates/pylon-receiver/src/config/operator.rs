//! The keys of `[[operator]]`: who reads and orders.

use super::declare::keys;
use super::secret::SecretSource;
use super::source::{HEADER, SECRET};
use super::value::{Choice, choice, text};
use crate::operator_role::OperatorRole;
use http::HeaderName;
use std::sync::Arc;

keys! {
    /// Somebody who reads and orders. Whoever comes, goes or gets another role or token does so with a restart.
    OperatorConfig {
        /// The name, as the page and the log show it.
        name: Arc<str> = "".into(), text().checked(name_fault).required(), Reload;
        /// What the operator may do: `operator` reads and orders, `reader` only reads.
        role: OperatorRole = OperatorRole::Operator, choice(), Reload;
        /// What the operator presents as `Authorization: Bearer ...`, or signs in with.
        token: SecretSource = SecretSource::Environment(String::new()), SECRET.required(), Reload;
        /// For a proxy that signs people in and adds the token to their requests: the header with who asks, such as `X-Forwarded-User`.
        user_header: Option<HeaderName> = None, HEADER, Reload;
    }
}

impl Choice for OperatorRole {
    const WORDS: &'static [(&'static str, Self)] = &[("operator", Self::Operator), ("reader", Self::Reader)];
}

/// `admin` is who presents `admin_token`.
const OF_ADMIN_TOKEN: &str = "admin";

fn name_fault(name: &Arc<str>) -> Option<String> {
    (**name == *OF_ADMIN_TOKEN)
        .then(|| "expected another name, found `admin`, which is that of `admin_token`".to_owned())
}
