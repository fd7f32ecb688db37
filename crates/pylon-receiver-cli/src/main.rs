//! The command `pylon-receiver`.
//!
//! | Folder or file | Holds |
//! | --- | --- |
//! | `commands` | one file for each command |
//! | `admin` | the client of the admin API: which receiver, filters, lists, orders |
//! | `input` | what commands read: secrets, times, kinds, bodies, the configuration |
//! | `print` | what commands print: text, tables, JSON |
//! | `telemetry` | the log and the traces of `serve` |
//! | `init.rs`, `service_manager.rs` | the duties of PID 1; sockets from the service manager, and messages to it |
//! | `http_client.rs` | the HTTP client of all commands |
//! | `fault.rs` | errors and exit codes |

#![forbid(unsafe_code)]

mod admin;
mod commands;
mod fault;
mod http_client;
mod init;
mod input;
mod print;
mod service_manager;
mod telemetry;

use std::process::ExitCode;

fn main() -> ExitCode {
    commands::run(std::env::args_os())
}
