//! The configuration file.

use crate::fault::Fault;
use pylon_receiver::config::{Config, parse};
use std::path::Path;

/// Reads the file; without one, the defaults.
pub(crate) fn load(path: Option<&Path>) -> Result<Config, Fault> {
    let Some(path) = path else { return parse("").map_err(Fault::configuration) };
    let text = std::fs::read_to_string(path).map_err(|error| {
        Fault::configuration(format!("the configuration {} cannot be read: {error}", path.display()))
    })?;
    parse(&text).map_err(|fault| Fault::configuration(format!("{}: {fault}", path.display())))
}
