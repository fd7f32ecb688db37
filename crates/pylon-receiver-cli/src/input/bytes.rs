//! Bodies that a command takes.

use crate::fault::Fault;
use std::io::Read;
use std::path::Path;

/// Everything on standard input, byte for byte.
pub(crate) fn standard_input() -> Result<Vec<u8>, Fault> {
    let mut body = Vec::new();
    let read = std::io::stdin().lock().read_to_end(&mut body);
    read.map(|_| body).map_err(|error| Fault::failed(format!("standard input cannot be read: {error}")))
}

/// The bytes of a file; `-` is standard input.
pub(crate) fn file_or_standard_input(path: &Path) -> Result<Vec<u8>, Fault> {
    if path.as_os_str() == "-" {
        return standard_input();
    }
    std::fs::read(path).map_err(|error| Fault::failed(format!("{} cannot be read: {error}", path.display())))
}
