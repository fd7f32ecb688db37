//! One event, its deliveries and their attempts; one refused request.

use super::content::{Body, redacted};
use crate::id::EventId;
use crate::ledger::{self, AttemptRecord, DeliveryRecord, EventRecord, EventState, IssueSummary, RefusedRecord};
use crate::time::Moment;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// How much of a body is in an answer, in bytes.
const SHOWN_BODY: usize = 256 * 1024;

/// An event with its headers, its body and its deliveries.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct EventDetail {
    /// The id.
    pub id: EventId,
    /// When it arrived.
    pub received_at: Moment,
    /// The endpoint that accepted it.
    pub endpoint: String,
    /// The name as it was sent; empty if there is none.
    pub name: String,
    /// The known kind that the event is taken for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// The issue that it is about; none when its body names none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issue: Option<IssueSummary>,
    /// The state, derived from its deliveries.
    pub state: EventState,
    /// Why the receiver does not deliver it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parked: Option<String>,
    /// The length of the body, in bytes.
    pub body_length: u64,
    /// The request's method.
    pub method: String,
    /// The request's path, without its query.
    pub path: String,
    /// The request's query, without the `?`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query: Option<String>,
    /// The headers, in the order of arrival; values of credentials are redacted.
    pub headers: Vec<(String, String)>,
    /// The body's beginning: at most 256 KiB. The whole body is at `/api/events/{id}/body`.
    pub body: Body,
    /// The newest 50 deliveries, the oldest first. `/api/deliveries` lists all.
    pub deliveries: Vec<DeliveryDetail>,
}

/// A delivery with its attempts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DeliveryDetail {
    /// The delivery.
    #[serde(flatten)]
    pub record: DeliveryRecord,
    /// Its newest 50 attempts, the oldest first.
    pub log: Vec<AttemptRecord>,
}

impl From<ledger::EventDetail> for EventDetail {
    fn from(event: ledger::EventDetail) -> Self {
        let ledger::EventDetail { record, method, target, query, headers, body, deliveries } = event;
        let EventRecord { id, received_at, endpoint, name, kind, issue, state, parked, body_length, deliveries: _ } =
            record;
        Self {
            id,
            received_at,
            endpoint,
            name,
            kind,
            issue,
            state,
            parked,
            body_length,
            method,
            path: target,
            query,
            headers: redacted(&headers),
            body: Body::beginning(&body, SHOWN_BODY),
            deliveries: deliveries.into_iter().map(|(record, log)| DeliveryDetail { record, log }).collect(),
        }
    }
}

/// A request that the receiver refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RefusedRequest {
    /// Counts refused requests; a later one has a higher number.
    pub number: u64,
    /// When it was refused.
    pub at: Moment,
    /// The endpoint; none for an unknown path.
    pub endpoint: Option<String>,
    /// The reason as a stable code, such as `signature_mismatch`.
    pub code: String,
    /// The reason as a sentence.
    pub reason: String,
    /// The HTTP status of the answer.
    pub status: u16,
    /// The request's method.
    pub method: String,
    /// The request's path, without its query.
    pub path: String,
    /// The address of the connection's other end.
    pub remote: String,
    /// The headers, in the order of arrival; values of credentials are redacted.
    pub headers: Vec<(String, String)>,
    /// The first bytes of the body.
    pub body: Body,
    /// How many bytes of the body the receiver read.
    pub body_length: u64,
}

impl From<RefusedRecord> for RefusedRequest {
    fn from(record: RefusedRecord) -> Self {
        Self {
            number: record.number,
            at: record.at,
            endpoint: record.endpoint,
            code: record.code,
            reason: record.reason,
            status: record.status,
            method: record.method,
            path: record.path,
            remote: record.remote,
            headers: redacted(&record.headers),
            body: Body::from(&*record.body),
            body_length: record.body_length,
        }
    }
}
