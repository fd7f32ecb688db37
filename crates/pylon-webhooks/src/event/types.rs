//! The types that handlers take, each a view of the same event.
//!
//! They nest as the Python classes inherit: `IssueNewEvent` is an `IssueSnapshotEvent`, that is a `BaseIssueEvent`, that is
//! a `WebhookEvent`, and each gives the methods of the next. A copy is one more reference to the same bytes.

use super::event::WebhookEvent;
use super::kind::EventKind;
use crate::failure::HandlerError;
use serde::de::DeserializeOwned;
use std::ops::Deref;

/// A type that handlers can take, and the events that it stands for.
///
/// The types of this crate are all such; your own becomes one through [`CustomEvent`].
pub trait EventType: Sized + Send + 'static {
    /// The name that a type of your own stands for, so that a slip in it is warned of.
    const OWN_NAME: Option<&'static str> = None;

    /// Whether a handler of this type is meant by the event.
    fn accepts(event: &WebhookEvent) -> bool;

    /// Makes the value to hand over.
    ///
    /// # Errors
    /// Whatever the type says of a body that it cannot be made of; the handler then counts as failed.
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
    /// The event name, matched as [`names_match`](crate::names_match) does.
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

/// Why a body does not fit a type of one's own. Serde's sentences quote the body, but for the one on missing fields.
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
    /// Any issue event, messages included, with the fields that all of them have.
    BaseIssueEvent(WebhookEvent), |kind| kind.is_some()
}
view! {
    /// Any issue event but a message, with the issue's state at that time.
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
    /// A body of any other kind, or of none; [`WebhookEvent::event_type`] is the name that it bore.
    UnknownEvent(WebhookEvent), |kind| kind.is_none()
}

/// The other name of [`IssueStateChangedEvent`], after what arrives on the wire.
pub type IssueStatusChangedEvent = IssueStateChangedEvent;
/// The other name of [`MessageNewEvent`], after what arrives on the wire.
pub type IssueMessageNewEvent = MessageNewEvent;

/// An event as the one type that fits it best, to match on.
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
    /// Every other body.
    Unknown(UnknownEvent),
}

impl WebhookEvent {
    /// The event as the type that fits it best.
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
