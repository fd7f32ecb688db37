//! The JSON of the admin API: one type for each request and each answer.
//!
//! The server answers with these types and the command `pylon-receiver` reads them, so a client of your own can do the same. Times
//! are RFC 3339 texts in UTC, ids are texts, sizes are bytes. A value that does not apply is left out.
//!
//! | Request | Query or body | Answer |
//! | --- | --- | --- |
//! | `GET /livez` | | [`Liveness`] |
//! | `GET /readyz` | | [`Readiness`], with status 503 while the receiver is not ready |
//! | `GET /metrics` | | OpenMetrics text |
//! | `GET /api/events` | [`EventFilter`], [`PageQuery`] | [`EventList`] |
//! | `GET /api/events/{id}` | | [`EventDetail`] |
//! | `GET /api/events/{id}/body` | | the bytes of the body |
//! | `POST /api/events/redeliver` | [`EventOrder`] | [`OrderResult`] |
//! | `GET /api/deliveries` | [`DeliveryFilter`], [`PageQuery`] | [`DeliveryList`] |
//! | `POST /api/deliveries/move` | [`MoveOrder`] | [`OrderResult`] |
//! | `POST /api/deliveries/drop` | [`DropOrder`] | [`OrderResult`] |
//! | `POST /api/dead/redeliver` | [`DeadOrder`] | [`OrderResult`] |
//! | `POST /api/dead/drop` | [`DeadOrder`] | [`OrderResult`] |
//! | `GET /api/refused` | [`RefusedFilter`], [`PageQuery`] | [`RefusedList`] |
//! | `GET /api/stats` | | [`Stats`] |
//! | `GET /api/activity` | | [`Activity`] |
//! | `GET /api/config` | | [`RunningConfig`] |
//! | `GET /api/backup` | | a copy of the ledger, a SQLite file |
//! | `GET /api/openapi.json` | | this table in full, as OpenAPI 3.1 |
//!
//! Every refusal is an [`ErrorAnswer`]. The paths are constants in [`path`].

mod activity;
mod content;
mod error;
mod event;
mod list;
mod order;
pub mod path;
mod schema;
mod status;

pub use crate::activity::{AttemptOutcome, DestinationSeen, EndpointSeen, LastAccepted, LastRefused, MinuteCount};
pub use crate::ledger::{
    AttemptRecord, DeliveryFilter, DeliveryRecord, DeliveryState, DestinationStats, EventFilter, EventRecord,
    EventState, IssueSummary, Order, RefusedFilter,
};
pub use activity::{Activity, DestinationActivity, EndpointActivity, RetrySummary, SecretStatus};
pub use content::Body;
pub use error::ErrorAnswer;
pub use event::{DeliveryDetail, EventDetail, RefusedRequest};
pub use list::{DeliveryList, EventList, PageQuery, RefusedList};
pub use order::{DeadOrder, DropOrder, EventOrder, MoveOrder, OrderResult};
pub use status::{
    CircuitStatus, Destination, LiveStatus, Liveness, Readiness, ReadyStatus, RunningConfig, Spool, Stats,
};
