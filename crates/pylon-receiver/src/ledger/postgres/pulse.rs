//! What is under way on a connection, seen from the messages that pass: whether the server owes an answer, in which state a transaction
//! is, whether the server has said that it is no longer fit.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Bytes of an error that are kept: its severity, in the server's language, and its code stand first.
const ERROR_KEPT: usize = 256;

/// The kind and the length of a message.
const HEAD: usize = 5;

/// When a host was last heard, on whichever connection.
#[derive(Debug)]
pub(super) struct Host {
    began: Instant,
    /// In milliseconds since the beginning.
    heard_at: AtomicU64,
}

impl Host {
    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

impl Default for Host {
    fn default() -> Self {
        Self { began: Instant::now(), heard_at: AtomicU64::default() }
    }
}

/// Shared by the stream, which sees the messages, and those who want to know.
#[derive(Debug, Default)]
pub(super) struct Pulse {
    host: Arc<Host>,
    /// Requests that end with the server's word that it is ready for the next.
    asked: AtomicU64,
    answered: AtomicU64,
    /// When the server was last heard, or began to owe an answer, as its host counts.
    heard_at: AtomicU64,
    /// The transaction's state by the last answer: `I` for none.
    state: AtomicU8,
    is_unfit: AtomicBool,
}

impl Pulse {
    /// Of a connection to this host.
    pub(super) fn new(host: Arc<Host>) -> Self {
        Self { host, ..Self::default() }
    }

    /// Whether nothing is under way, and no transaction is open.
    pub(super) fn is_at_rest(&self) -> bool {
        !self.is_owed() && self.state.load(Ordering::Acquire) == b'I'
    }

    /// Whether the server has to answer.
    pub(super) fn is_owed(&self) -> bool {
        self.answered.load(Ordering::Acquire) != self.asked.load(Ordering::Acquire)
    }

    /// Whether the server has said that it stops, or that nothing may be written there.
    pub(super) fn is_unfit(&self) -> bool {
        self.is_unfit.load(Ordering::Acquire)
    }

    /// How long the server has said nothing while it owes an answer.
    pub(super) fn silence(&self) -> Duration {
        match self.is_owed() {
            true => Duration::from_millis(self.host.now().saturating_sub(self.heard_at.load(Ordering::Acquire))),
            false => Duration::ZERO,
        }
    }

    /// Whether no connection has heard anything of the host since this one has. An answer that alone does not come shows nothing of the
    /// host: a commit may wait for a standby, a search may take long.
    pub(super) fn is_host_silent(&self) -> bool {
        self.host.heard_at.load(Ordering::Acquire) <= self.heard_at.load(Ordering::Acquire)
    }

    fn ask(&self) {
        if !self.is_owed() {
            self.note_time();
        }
        self.asked.fetch_add(1, Ordering::AcqRel);
    }

    fn note_time(&self) {
        self.heard_at.store(self.host.now(), Ordering::Release);
    }

    fn hear(&self) {
        self.note_time();
        self.host.heard_at.store(self.heard_at.load(Ordering::Acquire), Ordering::Release);
    }
}

/// The messages of one direction, found in its bytes.
#[derive(Debug, Default)]
struct Frames {
    /// The kind of the message, then its length; those of the message that has begun.
    head: Vec<u8>,
    /// Bytes of the message that are still to come.
    left: usize,
    /// The beginning of what is in the message.
    kept: Vec<u8>,
}

impl Frames {
    /// Goes through bytes; calls back at the end of each message, with its kind and the beginning of what is in it.
    fn feed(&mut self, mut bytes: &[u8], mut message: impl FnMut(u8, &[u8])) {
        while !bytes.is_empty() {
            if self.head.len() == HEAD {
                let taken = bytes.len().min(self.left);
                let (part, rest) = bytes.split_at(taken);
                let room = ERROR_KEPT.saturating_sub(self.kept.len()).min(taken);
                self.kept.extend_from_slice(&part[..room]);
                self.left -= taken;
                bytes = rest;
                if self.left == 0 {
                    message(self.head[0], &self.kept);
                    self.head.clear();
                    self.kept.clear();
                }
                continue;
            }
            self.head.push(bytes[0]);
            bytes = &bytes[1..];
            if let [kind, a, b, c, d] = self.head[..] {
                // The length counts itself.
                self.left = (u32::from_be_bytes([a, b, c, d]) as usize).saturating_sub(4);
                if self.left == 0 {
                    message(kind, &[]);
                    self.head.clear();
                }
            }
        }
    }
}

/// Watches both directions of one connection, from its first byte after TLS.
#[derive(Debug, Default)]
pub(super) struct Watch {
    /// Bytes of the first message that are still to come; none: its length has not come. It has no kind.
    greeting: Greeting,
    sent: Frames,
    received: Frames,
}

#[derive(Debug)]
enum Greeting {
    Length(Vec<u8>),
    Left(usize),
}

impl Default for Greeting {
    fn default() -> Self {
        Self::Length(Vec::new())
    }
}

impl Watch {
    /// Bytes go to the server.
    pub(super) fn sent(&mut self, mut bytes: &[u8], pulse: &Pulse) {
        while !bytes.is_empty() {
            match &mut self.greeting {
                Greeting::Left(0) => break,
                Greeting::Left(left) => {
                    let taken = bytes.len().min(*left);
                    *left -= taken;
                    bytes = &bytes[taken..];
                }
                Greeting::Length(length) => {
                    length.push(bytes[0]);
                    bytes = &bytes[1..];
                    if let [a, b, c, d] = length[..] {
                        let left = (u32::from_be_bytes([a, b, c, d]) as usize).saturating_sub(4);
                        self.greeting = Greeting::Left(left);
                        pulse.ask();
                    }
                }
            }
        }
        self.sent.feed(bytes, |kind, _| {
            // Query, Sync, FunctionCall.
            if matches!(kind, b'Q' | b'S' | b'F') {
                pulse.ask();
            }
        });
    }

    /// Bytes come from the server.
    pub(super) fn received(&mut self, bytes: &[u8], pulse: &Pulse) {
        pulse.hear();
        self.received.feed(bytes, |kind, kept| match kind {
            b'Z' => {
                pulse.state.store(kept.first().copied().unwrap_or_default(), Ordering::Release);
                pulse.answered.fetch_add(1, Ordering::AcqRel);
            }
            b'E' if code(kept).is_some_and(is_unfit) => pulse.is_unfit.store(true, Ordering::Release),
            _ => {}
        });
    }
}

/// The code in an error: fields of a letter and a text that ends with a zero byte.
fn code(fields: &[u8]) -> Option<&[u8]> {
    fields.split(|&byte| byte == 0).find_map(|field| field.strip_prefix(b"C"))
}

/// Whether the code tells of a server that stops, has crashed or starts, or of a standby.
fn is_unfit(code: &[u8]) -> bool {
    matches!(code, b"57P01" | b"57P02" | b"57P03" | b"25006")
}

#[cfg(test)]
mod tests {
    use super::{Pulse, Watch};
    use std::time::Duration;

    fn message(kind: u8, text: &[u8]) -> Vec<u8> {
        [&[kind][..], &(text.len() as u32 + 4).to_be_bytes(), text].concat()
    }

    /// Each byte alone, and all together.
    fn pieces(bytes: &[u8]) -> [Vec<&[u8]>; 2] {
        [bytes.chunks(1).collect(), vec![bytes]]
    }

    #[test]
    fn what_the_server_owes_is_counted_however_the_bytes_come() {
        let greeting = [&12_u32.to_be_bytes()[..], b"QSQS12345"].concat();
        let greeting = &greeting[..12];
        for way in 0..2 {
            let (pulse, mut watch) = (Pulse::default(), Watch::default());
            let mut send = |bytes: &[u8]| pieces(bytes)[way].iter().for_each(|piece| watch.sent(piece, &pulse));
            send(greeting);
            assert!(pulse.is_owed());
            send(&[message(b'p', b"SQSQ"), message(b'P', b"SSSSS"), message(b'S', b"")].concat());
            let received = [message(b'R', b"ZZZZ"), message(b'Z', b"I"), message(b'E', b"SERROR\0C23505\0\0")].concat();
            pieces(&received)[way].iter().for_each(|piece| watch.received(piece, &pulse));
            assert!(pulse.is_owed() && !pulse.is_at_rest() && !pulse.is_unfit());
            watch.received(&message(b'Z', b"T"), &pulse);
            assert!(!pulse.is_owed() && !pulse.is_at_rest(), "a transaction is open");
            watch.sent(&message(b'Q', b"ROLLBACK\0"), &pulse);
            watch.received(&message(b'Z', b"I"), &pulse);
            assert!(pulse.is_at_rest());
            assert_eq!(pulse.silence(), Duration::ZERO);
        }
    }

    #[test]
    fn a_server_that_is_no_longer_fit_is_known_by_its_code() {
        for (code, expected) in [("57P01", true), ("57P02", true), ("57P03", true), ("25006", true), ("57014", false)] {
            let (pulse, mut watch) = (Pulse::default(), Watch::default());
            let text = format!("SSCHWERWIEGEND\0VFATAL\0C{code}\0Mno C25006 here\0\0");
            watch.received(&message(b'E', text.as_bytes()), &pulse);
            assert_eq!(pulse.is_unfit(), expected, "{code}");
        }
    }
}
