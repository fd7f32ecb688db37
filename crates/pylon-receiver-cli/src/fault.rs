//! Errors of commands, and exit codes.

use std::fmt;

/// The exit code of the process; the help lists them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    /// Success, also if the reader of the output has left.
    Done = 0,
    /// Failure.
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
    /// A sentence for people; none: the output has said everything.
    message: Option<String>,
}

impl Fault {
    pub(crate) fn new(exit: Exit, message: impl fmt::Display) -> Self {
        Self { exit, message: Some(message.to_string()) }
    }

    /// The output has said everything.
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

    /// Standard output cannot be written. A reader that leaves early, as `head` does, is no failure.
    pub(crate) fn output(error: &std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::BrokenPipe => Self::said(Exit::Done),
            _ => Self::failed(format!("standard output cannot be written: {error}")),
        }
    }

    /// The sentence for people.
    pub(crate) fn message(&self) -> Option<&str> {
        self.message.as_deref()
    }

    /// The exit code.
    pub(crate) fn exit(&self) -> Exit {
        self.exit
    }
}
