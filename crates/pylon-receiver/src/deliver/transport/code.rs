//! What came of an attempt, as a stable word. `docs/reference/destinations.md` lists the words.

use std::borrow::Cow;

/// What came of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// The event arrived.
    Ok,
    /// The answer had this status, which is no success.
    Http(u16),
    /// The command ended with this exit code.
    Exit(i32),
    /// This signal ended the command.
    Signal(i32),
    /// Another cause.
    Word(&'static str),
}

impl Code {
    /// The program ended meanwhile.
    pub const ABORTED: Self = Self::Word("aborted");
    /// The connection broke off, or was closed, before an answer.
    pub const CLOSED: Self = Self::Word("closed");
    /// The answer was a success and ended before it was whole.
    pub const CUT_OFF: Self = Self::Word("cut_off");
    /// It is not allowed: to execute the command, to publish to the subject, to connect.
    pub const DENIED: Self = Self::Word("denied");
    /// The name does not resolve.
    pub const DNS: Self = Self::Word("dns");
    /// Another failure, which the sentence tells.
    pub const FAILED: Self = Self::Word("failed");
    /// A handler of the program failed.
    pub const HANDLER_ERROR: Self = Self::Word("handler_error");
    /// The NATS server refuses the login.
    pub const LOGIN: Self = Self::Word("login");
    /// Something that every attempt needs is missing, such as the certificates of the system.
    pub const MISSING: Self = Self::Word("missing");
    /// The stream is full, or JetStream has no room left.
    pub const NO_ROOM: Self = Self::Word("no_room");
    /// No stream takes the subject.
    pub const NO_STREAM: Self = Self::Word("no_stream");
    /// The command is not found.
    pub const NOT_FOUND: Self = Self::Word("not_found");
    /// The answer is not HTTP, or its head is too large.
    pub const NOT_HTTP: Self = Self::Word("not_http");
    /// The server does not speak NATS, or what answered is not JetStream.
    pub const NOT_NATS: Self = Self::Word("not_nats");
    /// The command cannot be started.
    pub const NOT_STARTED: Self = Self::Word("not_started");
    /// JetStream does not store the message.
    pub const NOT_STORED: Self = Self::Word("not_stored");
    /// The receiver itself lacked something: there is no attempt.
    pub const NOT_TRIED: Self = Self::Word("not_tried");
    /// The line could not be written.
    pub const NOT_WRITTEN: Self = Self::Word("not_written");
    /// A handler, or the receiver itself, panicked.
    pub const PANIC: Self = Self::Word("panic");
    /// The proxy did not open the way.
    pub const PROXY: Self = Self::Word("proxy");
    /// The connection was refused: nobody listens there.
    pub const REFUSED: Self = Self::Word("refused");
    /// The Unix socket cannot be connected to.
    pub const SOCKET: Self = Self::Word("socket");
    /// The time was over.
    pub const TIMEOUT: Self = Self::Word("timeout");
    /// TLS failed.
    pub const TLS: Self = Self::Word("tls");
    /// The event is larger than the server or the stream takes.
    pub const TOO_LARGE: Self = Self::Word("too_large");
    /// JetStream is not available.
    pub const UNAVAILABLE: Self = Self::Word("unavailable");
    /// The host cannot be reached.
    pub const UNREACHABLE: Self = Self::Word("unreachable");
    /// The handlers cannot read the body.
    pub const UNREADABLE: Self = Self::Word("unreadable");

    /// The word. That of a success costs nothing.
    pub fn word(self) -> Cow<'static, str> {
        match self {
            Self::Ok => "ok".into(),
            Self::Http(status) => format!("http_{status}").into(),
            Self::Exit(code) => format!("exit_{code}").into(),
            Self::Signal(signal) => format!("signal_{signal}").into(),
            Self::Word(word) => word.into(),
        }
    }
}
