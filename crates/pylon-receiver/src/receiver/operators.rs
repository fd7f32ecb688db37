//! What operators are answered: the API and the page, behind one gate.

use crate::access::{Access, Gate};
use crate::admin::{self, AdminParts};
use crate::ui::{self, Identity};
use axum::Router;
use http::Uri;
use std::sync::Arc;

/// How operators know the receiver, and get in.
#[derive(Debug, Clone)]
pub struct OperatorsOptions {
    /// Who may read and order.
    pub access: Access,
    /// Where a browser finds the page, behind a proxy.
    pub public_url: Option<Uri>,
    /// What the page calls this receiver.
    pub instance: Arc<str>,
}

impl OperatorsOptions {
    /// These operators, and nothing else that is special.
    pub fn new(access: Access) -> Self {
        Self { access, public_url: None, instance: "pylon-receiver".into() }
    }
}

/// The API and the page, as a service for a listener.
pub fn operators_router(parts: AdminParts, options: OperatorsOptions) -> Router {
    let OperatorsOptions { access, public_url, instance } = options;
    let gate = Gate::new(access, public_url, parts.metrics.clone(), parts.clock.clone());
    admin::router(parts.clone(), gate.clone()).merge(ui::pages(parts, gate, Identity { instance }))
}
