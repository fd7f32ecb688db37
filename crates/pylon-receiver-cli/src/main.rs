//! The command `pylon-receiver`. Each command has a file of its own in `commands`.

#![forbid(unsafe_code)]

mod commands;

use std::process::ExitCode;

fn main() -> ExitCode {
    commands::run(std::env::args_os())
}
