//! Filters on the command line, as the admin API takes them.

use super::moment::parse_moment;
use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use pylon_receiver::EventId;
use pylon_receiver::Moment;
use pylon_receiver::ledger::{DeliveryFilter, DeliveryState, EventFilter, EventState};
use serde::Serialize;
use serde_json::Value;

/// Which events.
#[derive(Debug, Args)]
#[command(next_help_heading = "Filters")]
pub(crate) struct EventFilterArgs {
    /// Came in at this moment or later: 2026-11-23T08:00:00Z, 2026-11-23, or 2h for two hours ago
    #[arg(long, value_name = "WHEN", value_parser = parse_moment)]
    since: Option<Moment>,

    /// Came in before this moment
    #[arg(long, value_name = "WHEN", value_parser = parse_moment)]
    until: Option<Moment>,

    /// Of this kind, such as issue_new
    #[arg(long)]
    kind: Option<String>,

    /// Came in at this endpoint
    #[arg(long, value_name = "NAME")]
    endpoint: Option<String>,

    /// Stand there now
    #[arg(long, value_parser = event_states())]
    state: Option<EventState>,

    /// Have this text in their body, byte for byte
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

/// Which deliveries, whatever their state.
#[derive(Debug, Args)]
#[command(next_help_heading = "Filters")]
pub(crate) struct DeliveryFilterArgs {
    /// Of this event
    #[arg(long, value_name = "ID")]
    event: Option<EventId>,

    /// To this destination
    #[arg(long, value_name = "NAME")]
    destination: Option<String>,

    /// Of events that came in at this moment or later: 2026-11-23T08:00:00Z, 2026-11-23, or 2h for
    /// two hours ago
    #[arg(long, value_name = "WHEN", value_parser = parse_moment)]
    since: Option<Moment>,

    /// Of events that came in before this moment
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

/// A filter as the query of a request.
pub(crate) fn query(filter: &impl Serialize) -> Vec<(String, String)> {
    let Ok(Value::Object(members)) = serde_json::to_value(filter) else { return Vec::new() };
    let text = |value| match value {
        Value::String(text) => text,
        other => other.to_string(),
    };
    members.into_iter().map(|(name, value)| (name, text(value))).collect()
}

pub(crate) fn delivery_states() -> impl TypedValueParser<Value = DeliveryState> {
    PossibleValuesParser::new(DeliveryState::ALL.map(DeliveryState::name)).map(|name| {
        let named = DeliveryState::ALL.into_iter().find(|state| state.name() == name);
        named.expect("only these names are possible")
    })
}

fn event_states() -> impl TypedValueParser<Value = EventState> {
    PossibleValuesParser::new(EventState::ALL.map(EventState::name)).map(|name| {
        let named = EventState::ALL.into_iter().find(|state| state.name() == name);
        named.expect("only these names are possible")
    })
}
