//! The address of a ledger on the command line.

use clap::builder::TypedValueParser;
use clap::error::ErrorKind;
use clap::{Arg, Command, Error};
use pylon_receiver::config::LedgerAddress;
use std::ffi::OsStr;

/// Reads the address of a ledger. Errors do not show the text, because it may hold a password.
#[derive(Clone)]
pub(crate) struct LedgerParser;

impl TypedValueParser for LedgerParser {
    type Value = LedgerAddress;

    fn parse_ref(&self, command: &Command, argument: Option<&Arg>, value: &OsStr) -> Result<LedgerAddress, Error> {
        let parsed = value.to_str().ok_or_else(|| "expected UTF-8, found other bytes".to_owned()).and_then(str::parse);
        parsed.map_err(|fault| {
            let argument = argument.map(Arg::to_string).unwrap_or_default();
            let text = format!("invalid value for '{argument}': {fault}\n");
            Error::raw(ErrorKind::ValueValidation, text).with_cmd(command)
        })
    }
}
