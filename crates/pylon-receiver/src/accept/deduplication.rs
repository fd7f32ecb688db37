//! Which events of an endpoint are duplicates of each other.

use crate::config::Deduplication;
use crate::ledger::DeduplicationKey;
use pylon_webhooks::{Payload, ReplayKey, ReplayRule, Verified, WebhookEvent};
use std::time::Duration;

/// An endpoint's rule. It computes keys with a rule of the library.
pub(super) struct DeduplicationRule(ReplayRule);

impl DeduplicationRule {
    /// The configured rule, if there is one.
    pub(super) fn new(configured: &Deduplication) -> Option<Self> {
        match configured {
            Deduplication::Off => None,
            Deduplication::ExactRequest => Some(Self(ReplayRule::ExactRequest)),
            Deduplication::Pointer { pointer, window } => {
                Some(Self(ReplayRule::Pointer { pointer: pointer.clone(), window: *window }))
            }
            Deduplication::BodyHash { window } => Some(Self(ReplayRule::BodyHash { window: *window })),
        }
    }

    /// The key of an event, or of a body without an event because it is not JSON: rules for the bytes alone hold there too.
    ///
    /// An exact request needs a signed timestamp: without one, small templates give different events the same body.
    pub(super) fn key(
        &self,
        body: &Verified<Payload<'_>>,
        event: Option<&Verified<WebhookEvent>>,
    ) -> Option<DeduplicationKey> {
        let Self(rule) = self;
        let signed = body.signed()?;
        if *rule == ReplayRule::ExactRequest && signed.timestamp.is_none() {
            return None;
        }
        let key = match event {
            Some(event) => rule.key(event),
            None => rule.key_of_body(body),
        };
        let ReplayKey { key, expires, .. } = key?;
        let lasts = expires.map(|expires| Duration::from_secs(expires.saturating_sub(signed.now)));
        Some(DeduplicationKey { key: key.into(), lasts })
    }
}
