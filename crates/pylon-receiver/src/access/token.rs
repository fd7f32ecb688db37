//! Operators by their tokens.

use super::caller::Caller;
use super::header::{only, only_text};
use super::operators::Operator;
use super::session::{self, SessionKey};
use crate::operator_role::OperatorRole;
use crate::time::Moment;
use http::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use sha2::{Digest, Sha256};
use std::sync::Arc;
use subtle::ConstantTimeEq;

/// The longest name that a proxy gives, in bytes: orders keep it.
const LONGEST_USER: usize = 200;

/// An operator, without the token.
pub(super) struct KnownOperator {
    name: Arc<str>,
    role: OperatorRole,
    /// The token's digest: digests have one length, so a comparison in constant time leaks nothing.
    digest: [u8; 32],
    session: SessionKey,
    user_header: Option<HeaderName>,
}

/// All operators.
pub(super) struct KnownOperators(Vec<KnownOperator>);

/// What a request shows.
pub(super) enum Shown<'o> {
    /// The token of this operator.
    Token(&'o KnownOperator),
    /// A session of this operator.
    Session(&'o KnownOperator),
    /// Another token, or a session that has ended.
    Another,
    /// Nothing.
    Nothing,
}

impl KnownOperators {
    pub(super) fn new(operators: Vec<Operator>) -> Self {
        let known = |operator: Operator| KnownOperator {
            digest: Sha256::digest(&*operator.token).into(),
            session: SessionKey::new(&operator.token),
            name: operator.name,
            role: operator.role,
            user_header: operator.user_header,
        };
        Self(operators.into_iter().map(known).collect())
    }

    /// Each of them.
    pub(super) fn iter(&self) -> impl Iterator<Item = &KnownOperator> {
        self.0.iter()
    }

    /// The operator whose token the request shows in its header `authorization`.
    pub(super) fn by_header(&self, headers: &HeaderMap) -> Shown<'_> {
        if !headers.contains_key(AUTHORIZATION) {
            return Shown::Nothing;
        }
        let token = only(headers, &AUTHORIZATION).and_then(bearer);
        token.and_then(|token| self.by_token(token)).map_or(Shown::Another, Shown::Token)
    }

    /// The operator of a session of the page.
    pub(super) fn by_session(&self, headers: &HeaderMap, now: Moment) -> Shown<'_> {
        let found = self.0.iter().find(|operator| operator.session.is_shown(headers, now));
        match found {
            Some(operator) => Shown::Session(operator),
            None if session::is_any_shown(headers) => Shown::Another,
            None => Shown::Nothing,
        }
    }

    /// The operator with this token. Each one is compared, whichever it is.
    pub(super) fn by_token(&self, token: &[u8]) -> Option<&KnownOperator> {
        let digest: [u8; 32] = Sha256::digest(token).into();
        self.0.iter().fold(None, |found, operator| match bool::from(digest.ct_eq(&operator.digest)) {
            true => Some(operator),
            false => found,
        })
    }
}

impl KnownOperator {
    /// The caller of a request that shows a session of this operator.
    pub(super) fn caller(&self) -> Caller {
        Caller::Operator { name: self.name.clone(), role: self.role }
    }

    /// The caller of a request that shows the token of this operator, who may be a proxy and say whom it asks for.
    pub(super) fn caller_of(&self, headers: &HeaderMap) -> Caller {
        let user = self.user_header.as_ref().and_then(|name| only_text(headers, name)).map(str::trim);
        let user = user.filter(|user| !user.is_empty() && user.len() <= LONGEST_USER);
        let name = user.map_or_else(|| self.name.clone(), |user| format!("{user} via {}", self.name).into());
        Caller::Operator { name, role: self.role }
    }

    pub(super) fn session(&self) -> &SessionKey {
        &self.session
    }
}

fn bearer(value: &HeaderValue) -> Option<&[u8]> {
    let (scheme, token) = value.as_bytes().split_at_checked("Bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"Bearer ").then_some(token)
}
