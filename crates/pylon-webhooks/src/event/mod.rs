//! Events: their names, kinds and fields.

mod coerce;
mod custom_field;
mod datetime;
mod document;
#[expect(clippy::module_inception, reason = "the event is what the folder is about")]
mod event;
mod extra;
mod fault;
mod field;
mod kind;
mod mend;
mod problem;
mod reader;
mod scan;
mod scope;
mod stored;
mod table;
mod text;
mod types;

pub use coerce::FieldValue;
pub(crate) use coerce::no_value;
pub use datetime::DateTime;
pub(crate) use document::Document;
pub use event::WebhookEvent;
pub use fault::{PayloadError, PayloadFault};
pub use field::{Field, Shape, Variable};
pub use kind::{EventKind, names_match};
pub use problem::{Problem, Reason};
pub use reader::{DEFAULT_DEPTH_LIMIT, EventReader, EventReaderBuilder, NameSource, parse_webhook_event};
pub use types::{
    BaseIssueEvent, CustomEvent, EventType, IssueAssignedEvent, IssueFieldChangedEvent, IssueMessageNewEvent,
    IssueNewEvent, IssueReactionEvent, IssueSnapshotEvent, IssueStateChangedEvent, IssueStatusChangedEvent,
    IssueTagsChangedEvent, MessageNewEvent, TypedEvent, UnknownEvent,
};
