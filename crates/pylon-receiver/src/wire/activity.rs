//! What the running receiver has seen since its start.

use crate::activity::{DestinationSeen, EndpointSeen, LastRefused};
use crate::time::Moment;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What this receiver has seen since its start. It is in memory: a restart forgets it, and other receivers on the same ledger have seen
/// something else.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Activity {
    /// When the receiver started.
    pub since: Moment,
    /// Where webhooks come in, as URLs of this machine or as `unix:PATH`. Empty if the receiver accepts none.
    pub addresses: Vec<String>,
    /// Its endpoints, by name. Empty if the receiver accepts no webhooks.
    pub endpoints: Vec<EndpointActivity>,
    /// Its destinations, by name.
    pub destinations: Vec<DestinationActivity>,
    /// The last request at a path without an endpoint. Left out if there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub elsewhere: Option<LastRefused>,
}

/// How an endpoint authenticates requests, and what it did last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EndpointActivity {
    /// The name.
    pub name: String,
    /// The path.
    pub path: String,
    /// Whether requests need a signature.
    pub signature: bool,
    /// The header that requests need. Left out if they need none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub header: Option<String>,
    /// Where its secrets come from, those of the signature first, and whether each was found. Never the secrets.
    pub secrets: Vec<SecretStatus>,
    /// Whether the secrets that it has are enough: any one for the signature, and the one for the header.
    pub can_authenticate: bool,
    /// What it did last.
    #[serde(flatten)]
    pub seen: EndpointSeen,
}

/// A source of a secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SecretStatus {
    /// The source, such as `environment variable PYLON_WEBHOOK_SECRET`.
    pub source: String,
    /// Why there is no secret, a sentence. Left out if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
}

/// A destination in this receiver.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DestinationActivity {
    /// The name.
    pub name: String,
    /// Where it is, without anything that may be secret.
    pub address: String,
    /// How deliveries are retried.
    pub retry: RetrySummary,
    /// How attempts ended.
    #[serde(flatten)]
    pub seen: DestinationSeen,
}

/// How deliveries are retried.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RetrySummary {
    /// Attempts after which a delivery is given up.
    pub attempts: u32,
    /// The age at which a delivery is given up once five attempts were made, in seconds.
    pub age_seconds: f64,
    /// The longest wait before the second attempt, in seconds.
    pub first_delay_seconds: f64,
    /// What the wait doubles up to, in seconds.
    pub longest_delay_seconds: f64,
}
