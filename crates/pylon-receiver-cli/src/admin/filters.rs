//! Filters on the command line.

use super::client::Client;
use super::ids::{EventName, Name};
use crate::fault::Fault;
use crate::input::moment::parse_moment;
use crate::print::output::note;
use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use pylon_receiver::Moment;
use pylon_receiver::wire::{DeliveryFilter, DeliveryState, EventFilter, EventState};
use pylon_webhooks::EventKind;

/// Which events.
#[derive(Debug, Args)]
#[command(next_help_heading = "Filters")]
pub(crate) struct EventFilterArgs {
    /// Received at or after this time: 2026-11-23T08:00:00Z, 2026-11-23, or 2h for two hours ago
    #[arg(long, value_name = "WHEN", value_parser = parse_moment)]
    since: Option<Moment>,

    /// Received before this time
    #[arg(long, value_name = "WHEN", value_parser = parse_moment)]
    until: Option<Moment>,

    /// Kind of event, such as issue_new, or its type, such as IssueNewEvent
    #[arg(long)]
    kind: Option<String>,

    /// About this issue: its number, such as 1042, or its id
    #[arg(long, value_name = "NUMBER_OR_ID")]
    issue: Option<String>,

    /// With this term: an issue's number or id, a message's id, an e-mail address, an account's name or id
    #[arg(long)]
    term: Option<String>,

    /// Received at this endpoint
    #[arg(long, value_name = "NAME")]
    endpoint: Option<String>,

    /// Current state
    #[arg(long, value_parser = event_states())]
    state: Option<EventState>,

    /// The body contains this text; case, JSON's white space and escapes do not count
    #[arg(long, value_name = "TEXT")]
    contains: Option<String>,
}

impl EventFilterArgs {
    /// The filter; a kind that is probably misspelled causes a warning.
    pub(crate) fn filter(&self) -> EventFilter {
        let slip = self.kind.as_ref().and_then(|kind| Some((kind, EventKind::probably_meant(kind)?)));
        if let Some((kind, meant)) = slip {
            note(&format!("warning: --kind {kind}: no event is likely to have this kind; did you mean {meant}?"));
        }
        EventFilter {
            since: self.since,
            until: self.until,
            kind: self.kind.clone(),
            endpoint: self.endpoint.clone(),
            state: self.state,
            contains: self.contains.clone(),
            issue: self.issue.clone(),
            id: None,
            term: self.term.clone(),
        }
    }
}

/// Which deliveries, in any state.
#[derive(Debug, Args)]
#[command(next_help_heading = "Filters")]
pub(crate) struct DeliveryFilterArgs {
    /// Deliveries of this event
    #[arg(long, value_name = "ID")]
    event: Option<EventName>,

    /// Deliveries of events about this issue: its number, such as 1042, or its id
    #[arg(long, value_name = "NUMBER_OR_ID")]
    issue: Option<String>,

    /// Deliveries to this destination
    #[arg(long, value_name = "NAME")]
    destination: Option<String>,

    /// Event received at or after this time: 2026-11-23T08:00:00Z, 2026-11-23, or 2h for two hours ago
    #[arg(long, value_name = "WHEN", value_parser = parse_moment)]
    since: Option<Moment>,

    /// Event received before this time
    #[arg(long, value_name = "WHEN", value_parser = parse_moment)]
    until: Option<Moment>,

    /// Deliveries whose last attempt failed with this code, such as http_500 or timeout; none for those without a code
    #[arg(long)]
    code: Option<String>,

    /// Dead, and dead before this time
    #[arg(long, value_name = "WHEN", value_parser = parse_moment)]
    died_before: Option<Moment>,
}

impl DeliveryFilterArgs {
    /// The filter; a shortened id of an event is looked up.
    pub(crate) async fn filter(&self, client: &Client, state: Option<DeliveryState>) -> Result<DeliveryFilter, Fault> {
        let event = match &self.event {
            Some(event) => Some(event.find(client).await?),
            None => None,
        };
        Ok(DeliveryFilter {
            event,
            destination: self.destination.clone(),
            state,
            since: self.since,
            until: self.until,
            issue: self.issue.clone(),
            code: self.code.clone(),
            died_before: self.died_before,
        })
    }
}

pub(crate) fn delivery_states() -> impl TypedValueParser<Value = DeliveryState> {
    PossibleValuesParser::new(DeliveryState::ALL.iter().map(|state| state.name())).map(|name| {
        let named = DeliveryState::ALL.iter().copied().find(|state| state.name() == name);
        named.expect("only these names are possible")
    })
}

fn event_states() -> impl TypedValueParser<Value = EventState> {
    PossibleValuesParser::new(EventState::ALL.iter().map(|state| state.name())).map(|name| {
        let named = EventState::ALL.iter().copied().find(|state| state.name() == name);
        named.expect("only these names are possible")
    })
}
