//! `template`: prints the body to paste into a Pylon trigger.

use crate::fault::Fault;
use crate::input::kind::KindParser;
use crate::print::output::{Format, Output};
use clap::Args;
use pylon_webhooks::EventKind;
use serde_json::json;

const EXAMPLES: &str = "\
Examples:
  pylon-receiver template
  pylon-receiver template issue_new";

/// Print the body to paste into a Pylon trigger; without a kind, list the kinds
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct TemplateArgs {
    /// Kind of event
    #[arg(value_parser = KindParser)]
    kind: Option<EventKind>,
}

pub(crate) fn run(args: &TemplateArgs, out: &mut Output) -> Result<(), Fault> {
    match (args.kind, out.format()) {
        (Some(kind), Format::Text) => out.bytes(kind.template().as_bytes()),
        (Some(kind), Format::Json) => out.json(&json!({"kind": kind.name(), "template": kind.template()})),
        (None, Format::Text) => EventKind::ALL.iter().try_for_each(|kind| out.line(kind.name())),
        (None, Format::Json) => out.json(&EventKind::ALL.iter().map(|kind| kind.name()).collect::<Vec<_>>()),
    }
}
