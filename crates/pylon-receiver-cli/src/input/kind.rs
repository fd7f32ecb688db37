//! A kind of event on the command line.

use clap::builder::{PossibleValue, TypedValueParser};
use clap::error::{ContextKind, ContextValue, ErrorKind};
use pylon_webhooks::EventKind;
use std::ffi::OsStr;

/// Reads the name of a kind; the help and the shell completions list all of them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct KindParser;

impl TypedValueParser for KindParser {
    type Value = EventKind;

    fn parse_ref(
        &self,
        command: &clap::Command,
        argument: Option<&clap::Arg>,
        value: &OsStr,
    ) -> Result<EventKind, clap::Error> {
        let name = value.to_string_lossy();
        if let Some(kind) = EventKind::from_name(&name) {
            return Ok(kind);
        }
        let mut error = clap::Error::new(ErrorKind::InvalidValue).with_cmd(command);
        if let Some(argument) = argument {
            error.insert(ContextKind::InvalidArg, ContextValue::String(argument.to_string()));
        }
        error.insert(ContextKind::InvalidValue, ContextValue::String(crate::print::text::escape(&name).into_owned()));
        let names = EventKind::ALL.iter().map(|kind| kind.name().to_owned()).collect();
        error.insert(ContextKind::ValidValue, ContextValue::Strings(names));
        if let Some(meant) = EventKind::probably_meant(&name) {
            error.insert(ContextKind::SuggestedValue, ContextValue::String(meant.name().to_owned()));
        }
        Err(error)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new(EventKind::ALL.iter().map(|kind| PossibleValue::new(kind.name()))))
    }
}
