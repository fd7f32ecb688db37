//! Filters on the command line.

use super::client::Query;
use crate::input::moment::parse_moment;
use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use pylon_receiver::wire::{DeliveryFilter, DeliveryState, EventFilter, EventState};
use pylon_receiver::{EventId, Moment};
use serde::Serialize;
use serde_json::Value;

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

    /// Kind of event, such as issue_new
    #[arg(long)]
    kind: Option<String>,

    /// Received at this endpoint
    #[arg(long, value_name = "NAME")]
    endpoint: Option<String>,

    /// Current state
    #[arg(long, value_parser = event_states())]
    state: Option<EventState>,

    /// The body contains this text, byte for byte
    #[arg(long, value_name = "TEXT")]
    contains: Option<String>,
}

impl EventFilterArgs {
    pub(crate) fn filter(&self) -> EventFilter {
        EventFilter {
            since: self.since,
            until: self.until,
            kind: self.kind.clone(),
            endpoint: self.endpoint.clone(),
            state: self.state,
            contains: self.contains.clone(),
        }
    }
}

/// Which deliveries, in any state.
#[derive(Debug, Args)]
#[command(next_help_heading = "Filters")]
pub(crate) struct DeliveryFilterArgs {
    /// Deliveries of this event
    #[arg(long, value_name = "ID")]
    event: Option<EventId>,

    /// Deliveries to this destination
    #[arg(long, value_name = "NAME")]
    destination: Option<String>,

    /// Event received at or after this time: 2026-11-23T08:00:00Z, 2026-11-23, or 2h for two hours ago
    #[arg(long, value_name = "WHEN", value_parser = parse_moment)]
    since: Option<Moment>,

    /// Event received before this time
    #[arg(long, value_name = "WHEN", value_parser = parse_moment)]
    until: Option<Moment>,
}

impl DeliveryFilterArgs {
    pub(crate) fn filter(&self, state: Option<DeliveryState>) -> DeliveryFilter {
        DeliveryFilter {
            event: self.event,
            destination: self.destination.clone(),
            state,
            since: self.since,
            until: self.until,
        }
    }
}

/// The parameters of a query that is a flat object.
pub(crate) fn query(parameters: &impl Serialize) -> Query {
    let Ok(Value::Object(members)) = serde_json::to_value(parameters) else { return Query::new() };
    let text = |value| match value {
        Value::String(text) => text,
        other => other.to_string(),
    };
    members.into_iter().map(|(name, value)| (name, text(value))).collect()
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
