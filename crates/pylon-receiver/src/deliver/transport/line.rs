//! Output of other people's code, made safe to keep: one short line without terminal control characters.

use crate::ledger::AttemptAnswer;
use std::mem;

/// Maximum length of the line, in characters.
const LONGEST: usize = 200;
/// How much of a line is read, in bytes: the most that this number of characters can take.
const LONGEST_BYTES: usize = 4 * LONGEST;

/// The beginning of the text as one line, with control characters escaped.
pub(super) fn fit(text: &str) -> String {
    let escaped = text.trim().chars().flat_map(|character| {
        let escape = character.is_control().then(|| character.escape_default());
        let plain = escape.is_none().then_some(character);
        escape.into_iter().flatten().chain(plain)
    });
    escaped.take(LONGEST).collect()
}

/// The last line of a stream that is not blank, in bounded memory.
#[derive(Default)]
pub(super) struct LastLine {
    ended: Vec<u8>,
    current: Vec<u8>,
}

impl LastLine {
    /// Takes the next bytes of the stream.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        for piece in bytes.split_inclusive(|&byte| byte == b'\n') {
            let room = LONGEST_BYTES - self.current.len();
            self.current.extend_from_slice(&piece[..piece.len().min(room)]);
            if piece.ends_with(b"\n") {
                let line = mem::take(&mut self.current);
                if !line.trim_ascii().is_empty() {
                    self.ended = line;
                }
            }
        }
    }

    /// The sentence, followed by the line if there is one.
    pub(super) fn after(&self, sentence: &str) -> String {
        let line = if self.current.trim_ascii().is_empty() { &self.ended } else { &self.current };
        let line = fit(&String::from_utf8_lossy(line));
        if line.is_empty() { sentence.to_owned() } else { format!("{sentence}: {line}") }
    }
}

/// The last bytes of a stream, in bounded memory.
#[derive(Default)]
pub(super) struct Tail {
    bytes: Vec<u8>,
    is_cut: bool,
}

impl Tail {
    /// Takes the next bytes of the stream.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        let beyond = self.bytes.len().saturating_sub(AttemptAnswer::MOST);
        self.bytes.drain(..beyond);
        self.is_cut |= beyond > 0;
    }

    /// What it holds, if that is more than one line that a sentence has whole.
    pub(super) fn answer(&self) -> Option<AttemptAnswer> {
        let is_fit = |line: &str| line.chars().count() <= LONGEST && !line.contains(char::is_control);
        let is_in_a_sentence = !self.is_cut && std::str::from_utf8(&self.bytes).is_ok_and(|said| is_fit(said.trim()));
        (!is_in_a_sentence).then(|| AttemptAnswer::end(&self.bytes, self.is_cut))
    }
}
