//! The event types that handlers take. Each one is a view of the same event.
//!
//! They nest as the Python classes inherit: an `IssueNewEvent` is an `IssueSnapshotEvent`, which is a `BaseIssueEvent`,
//! which is a `WebhookEvent`. Each one has the methods of the next. Clones share the same bytes.

use super::event::WebhookEvent;
use super::kind::EventKind;
use crate::handler_error::HandlerError;
use serde::de::DeserializeOwned;
use std::ops::Deref;

/// A type that handlers can take.
///
/// All event types of this crate are event types; implement [`CustomEvent`] for your own.
pub trait EventType: Sized + Send + 'static {
    /// The event name of a type of your own, to warn of misspellings.
    const OWN_NAME: Option<&'static str> = None;

    /// Whether handlers of this type run for the event.
    fn accepts(event: &WebhookEvent) -> bool;

    /// Makes the handler's argument.
    ///
    /// # Errors
    /// The type's error when the body does not fit. The handler then counts as failed.
    fn from_event(event: &WebhookEvent) -> Result<Self, HandlerError>;
}

/// A type of your own, made from the body of events of one name.
///
/// ```
/// use pylon_webhooks::{parse_webhook_event, CustomEvent, Verified, WebhookHandler};
///
/// #[derive(serde::Deserialize)]
/// struct AccountUpdated {
///     account_id: String,
/// }
///
/// impl CustomEvent for AccountUpdated {
///     const NAME: &'static str = "account.updated";
/// }
///
/// let mut handler = WebhookHandler::returning("your-webhook-secret")?;
/// handler.on(|event: AccountUpdated| Ok::<_, std::io::Error>(event.account_id));
/// let event = parse_webhook_event(br#"{"event": "account_updated", "account_id": "acc_1"}"#)?;
/// assert_eq!(handler.dispatch(Verified::stored(event))?.results, ["acc_1"]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait CustomEvent: DeserializeOwned + Send + 'static {
    /// The event name, compared by [`names_match`](crate::names_match).
    const NAME: &'static str;
}

impl<T: CustomEvent> EventType for T {
    const OWN_NAME: Option<&'static str> = Some(T::NAME);

    fn accepts(event: &WebhookEvent) -> bool {
        event.is_named(T::NAME)
    }

    fn from_event(event: &WebhookEvent) -> Result<Self, HandlerError> {
        event.deserialize().map_err(|error| unfit(&error))
    }
}

/// Why a body does not fit a user's type. Serde's messages quote the body, except the one about missing fields.
fn unfit(error: &serde_json::Error) -> HandlerError {
    let sentence = error.to_string();
    if sentence.starts_with("missing field `") {
        return sentence.into();
    }
    format!("the body does not fit the type at line {} column {}", error.line(), error.column()).into()
}

impl EventType for WebhookEvent {
    fn accepts(_: &WebhookEvent) -> bool {
        true
    }

    fn from_event(event: &WebhookEvent) -> Result<Self, HandlerError> {
        Ok(event.clone())
    }
}

/// Declares a type that holds another view of the event and gives that view's methods.
macro_rules! view {
    ($(#[$doc:meta])* $name:ident($inner:ident), $accepts:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash)]
        pub struct $name($inner);

        impl $name {
            /// The event as this type; none when it is of another kind.
            pub fn of(event: &WebhookEvent) -> Option<Self> {
                Self::accepts(event).then(|| Self::view(event.clone()))
            }

            fn view(event: WebhookEvent) -> Self {
                Self($inner::view(event))
            }
        }

        impl Deref for $name {
            type Target = $inner;

            fn deref(&self) -> &$inner {
                &self.0
            }
        }

        impl EventType for $name {
            fn accepts(event: &WebhookEvent) -> bool {
                let accepts: fn(Option<EventKind>) -> bool = $accepts;
                accepts(event.kind())
            }

            fn from_event(event: &WebhookEvent) -> Result<Self, HandlerError> {
                Ok(Self::view(event.clone()))
            }
        }
    };
}

impl WebhookEvent {
    fn view(event: Self) -> Self {
        event
    }
}

view! {
    /// Any issue event, including messages, with the fields that all of them have.
    BaseIssueEvent(WebhookEvent), |kind| kind.is_some()
}
view! {
    /// Any issue event except a message, with the issue's state at that time.
    IssueSnapshotEvent(BaseIssueEvent), |kind| kind.is_some_and(|kind| kind != EventKind::IssueMessageNew)
}
view! {
    /// A new issue was created: `issue_new`.
    ///
    /// ```
    /// use pylon_webhooks::{parse_webhook_event, IssueNewEvent};
    ///
    /// let event = parse_webhook_event(br#"{"event_type": "issue_new", "issue_title": "Export fails"}"#)?;
    /// let event = IssueNewEvent::of(&event).expect("issue_new");
    /// assert_eq!(event.issue_title(), "Export fails");
    /// assert_eq!(event.issue_number(), None);
    /// # Ok::<(), pylon_webhooks::Error>(())
    /// ```
    IssueNewEvent(IssueSnapshotEvent), |kind| kind == Some(EventKind::IssueNew)
}
view! {
    /// An issue was assigned: `issue_assigned`.
    IssueAssignedEvent(IssueSnapshotEvent), |kind| kind == Some(EventKind::IssueAssigned)
}
view! {
    /// An issue's state changed: `issue_status_changed`.
    IssueStateChangedEvent(IssueSnapshotEvent), |kind| kind == Some(EventKind::IssueStatusChanged)
}
view! {
    /// A field of an issue changed: `issue_field_changed`.
    IssueFieldChangedEvent(IssueSnapshotEvent), |kind| kind == Some(EventKind::IssueFieldChanged)
}
view! {
    /// An issue's tags changed: `issue_tags_changed`.
    IssueTagsChangedEvent(IssueSnapshotEvent), |kind| kind == Some(EventKind::IssueTagsChanged)
}
view! {
    /// Somebody reacted to an issue: `issue_reaction`.
    IssueReactionEvent(IssueSnapshotEvent), |kind| kind == Some(EventKind::IssueReaction)
}
view! {
    /// A new message came in on an issue: `issue_message_new`.
    MessageNewEvent(BaseIssueEvent), |kind| kind == Some(EventKind::IssueMessageNew)
}
view! {
    /// An event of no known kind. [`WebhookEvent::event_type`] is its name.
    UnknownEvent(WebhookEvent), |kind| kind.is_none()
}

/// Another name of [`IssueStateChangedEvent`], after the event's name.
pub type IssueStatusChangedEvent = IssueStateChangedEvent;
/// Another name of [`MessageNewEvent`], after the event's name.
pub type IssueMessageNewEvent = MessageNewEvent;

/// An event as its most specific type, for `match`.
///
/// ```
/// use pylon_webhooks::{parse_webhook_event, TypedEvent};
///
/// let event = parse_webhook_event(br#"{"event": "ticket.created"}"#)?;
/// match event.typed() {
///     TypedEvent::IssueNew(event) => println!("{}", event.issue_title()),
///     TypedEvent::Unknown(event) => assert_eq!(event.event_type(), "ticket.created"),
///     _ => {}
/// }
/// # Ok::<(), pylon_webhooks::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum TypedEvent {
    /// `issue_new`
    IssueNew(IssueNewEvent),
    /// `issue_assigned`
    IssueAssigned(IssueAssignedEvent),
    /// `issue_status_changed`
    IssueStateChanged(IssueStateChangedEvent),
    /// `issue_field_changed`
    IssueFieldChanged(IssueFieldChangedEvent),
    /// `issue_tags_changed`
    IssueTagsChanged(IssueTagsChangedEvent),
    /// `issue_reaction`
    IssueReaction(IssueReactionEvent),
    /// `issue_message_new`
    MessageNew(MessageNewEvent),
    /// Any other event.
    Unknown(UnknownEvent),
}

impl WebhookEvent {
    /// The event as its most specific type.
    pub fn typed(&self) -> TypedEvent {
        let event = self.clone();
        match self.kind() {
            Some(EventKind::IssueNew) => TypedEvent::IssueNew(IssueNewEvent::view(event)),
            Some(EventKind::IssueAssigned) => TypedEvent::IssueAssigned(IssueAssignedEvent::view(event)),
            Some(EventKind::IssueStatusChanged) => TypedEvent::IssueStateChanged(IssueStateChangedEvent::view(event)),
            Some(EventKind::IssueFieldChanged) => TypedEvent::IssueFieldChanged(IssueFieldChangedEvent::view(event)),
            Some(EventKind::IssueTagsChanged) => TypedEvent::IssueTagsChanged(IssueTagsChangedEvent::view(event)),
            Some(EventKind::IssueReaction) => TypedEvent::IssueReaction(IssueReactionEvent::view(event)),
            Some(EventKind::IssueMessageNew) => TypedEvent::MessageNew(MessageNewEvent::view(event)),
            None => TypedEvent::Unknown(UnknownEvent::view(event)),
        }
    }
}
