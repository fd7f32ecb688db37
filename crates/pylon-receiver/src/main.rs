//! The command `pylon-receiver`. Its commands stand in `commands`, one in a file.

#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    pylon_receiver::commands::run(std::env::args_os())
}
