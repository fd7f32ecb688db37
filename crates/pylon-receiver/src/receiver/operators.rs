//! What operators are answered: the API and the page, behind one gate.

use super::start_fault::StartFault;
use crate::access::{Access, Gate, Operator};
use crate::admin::{self, AdminParts};
use crate::config::{Config, SecretSource};
use crate::operator_role::OperatorRole;
use crate::ui::{self, Identity};
use axum::Router;
use axum::extract::Request;
use http::{HeaderName, Uri};
use sha2::{Digest, Sha256};
use std::sync::Arc;
use subtle::ConstantTimeEq;
use tower_service::Service;

/// Who presents `admin_token`.
const ADMIN: &str = "admin";

/// Who gets in, and how operators know the receiver.
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

    /// Those of a configuration. Operators on this machine are let in; those elsewhere need a token, without which the configuration is
    /// not in order.
    pub(super) fn of(config: &Config) -> Result<Self, StartFault> {
        let operators = operators(config)?;
        let access = if operators.is_empty() { Access::Loopback } else { Access::Tokens(operators) };
        let instance = config.instance.as_deref().unwrap_or("pylon-receiver").into();
        Ok(Self { access, public_url: config.public_url.clone(), instance })
    }

    /// What changes with a restart only, by key: names, roles, tokens and headers, whatever their sources.
    pub(super) fn digests(&self) -> [(&'static str, [u8; 32]); 2] {
        let all = match &self.access {
            Access::Tokens(operators) => operators.as_slice(),
            Access::Loopback => &[],
        };
        let digest = |of_admin_token: bool| {
            let operators = all.iter().filter(|operator| (*operator.name == *ADMIN) == of_admin_token);
            let digest = operators.fold(Sha256::new(), |digest, operator| {
                let name = Sha256::digest(&*operator.name);
                digest
                    .chain_update(name)
                    .chain_update([operator.role as u8])
                    .chain_update(Sha256::digest(&*operator.token))
                    .chain_update(Sha256::digest(operator.user_header.as_ref().map_or("", HeaderName::as_str)))
            });
            digest.finalize().into()
        };
        [("admin_token", digest(true)), ("operator", digest(false))]
    }
}

/// The API and the page, as a service for a listener.
pub fn operators_router(parts: AdminParts, options: OperatorsOptions) -> Router {
    let OperatorsOptions { access, public_url, instance } = options;
    let prefix = public_url.as_ref().map(|url| url.path().trim_end_matches('/').to_owned()).unwrap_or_default();
    let gate = Gate::new(access, public_url, parts.metrics.clone(), parts.clock.clone());
    let router = admin::router(parts.clone(), gate.clone()).merge(ui::pages(parts, gate, Identity { instance }));
    if prefix.is_empty() { router } else { without_prefix(prefix.into(), router) }
}

/// Takes the prefix away where a proxy has kept it.
fn without_prefix(prefix: Arc<str>, router: Router) -> Router {
    Router::new().fallback(move |mut request: Request| {
        let mut router = router.clone();
        if let Some(uri) = stripped(request.uri(), &prefix) {
            *request.uri_mut() = uri;
        }
        async move { router.call(request).await }
    })
}

/// None: it has no such prefix.
fn stripped(uri: &Uri, prefix: &str) -> Option<Uri> {
    let rest = uri.path().strip_prefix(prefix).filter(|rest| rest.starts_with('/'))?;
    let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(format!("{rest}{query}").parse().ok()?);
    Uri::from_parts(parts).ok()
}

fn operators(config: &Config) -> Result<Vec<Operator>, StartFault> {
    let admin =
        config.admin_token.iter().map(|source| (ADMIN, OperatorRole::Operator, source, None, "admin_token".to_owned()));
    let named = config.operators.iter().map(|operator| {
        let name = &operator.name;
        let user_header = operator.user_header.clone();
        (&**name, operator.role, &operator.token, user_header, format!("the token of the operator `{name}`"))
    });
    let mut operators: Vec<Operator> = Vec::new();
    for (name, role, source, user_header, whose) in admin.chain(named) {
        let token = SecretSource::read(source).map_err(|fault| StartFault::Token { whose: whose.clone(), fault })?;
        let is_same = |other: &&Operator| bool::from(other.token.ct_eq(&token));
        if let Some(other) = operators.iter().find(is_same) {
            return Err(StartFault::SameToken { one: other.name.clone(), other: name.into() });
        }
        operators.push(Operator { name: name.into(), role, token, user_header });
    }
    Ok(operators)
}
