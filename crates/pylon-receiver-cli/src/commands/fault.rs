//! How a command ends when it does not end well.

use super::output::note;
use std::fmt;
use std::process::ExitCode;

/// What the process ends with; the list is in the help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    /// It went well, as far as anybody was there to see it.
    Done = 0,
    /// It failed.
    Failed = 1,
    /// The command line is wrong.
    Usage = 2,
    /// A signature or a timestamp was refused.
    Refused = 3,
    /// No receiver answers.
    NoReceiver = 4,
    /// The configuration is wrong.
    Configuration = 5,
}

/// Why a command ended early.
#[derive(Debug)]
pub(crate) struct Fault {
    exit: Exit,
    /// A sentence for people; none: everything has been said.
    message: Option<String>,
}

impl Fault {
    pub(crate) fn new(exit: Exit, message: impl fmt::Display) -> Self {
        Self { exit, message: Some(message.to_string()) }
    }

    /// The output says it all.
    pub(crate) fn said(exit: Exit) -> Self {
        Self { exit, message: None }
    }

    pub(crate) fn failed(message: impl fmt::Display) -> Self {
        Self::new(Exit::Failed, message)
    }

    pub(crate) fn usage(message: impl fmt::Display) -> Self {
        Self::new(Exit::Usage, message)
    }

    pub(crate) fn no_receiver(message: impl fmt::Display) -> Self {
        Self::new(Exit::NoReceiver, message)
    }

    pub(crate) fn configuration(message: impl fmt::Display) -> Self {
        Self::new(Exit::Configuration, message)
    }

    /// What could not be printed; that the reader has gone, as `head` does, is no failure.
    pub(crate) fn output(error: &std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::BrokenPipe => Self::said(Exit::Done),
            _ => Self::failed(format!("standard output cannot be written: {error}")),
        }
    }

    /// The sentence for people.
    pub(crate) fn message(&self) -> &str {
        self.message.as_deref().unwrap_or_default()
    }

    /// Says it on standard error, and with what the process ends.
    pub(crate) fn report(self) -> ExitCode {
        if let Some(message) = self.message {
            note(&format!("error: {message}"));
        }
        ExitCode::from(self.exit as u8)
    }
}
