//! The lines that a piece of code logs.

use std::cell::RefCell;
use std::fmt::{Debug, Write};
use std::sync::Once;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

thread_local! {
    static LINES: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// Runs the code. Returns its result, and each line that it logged on this thread: level, message and fields.
///
/// Lines of this project's crates from INFO on count. One subscriber serves all tests of a process: with one each, a test without
/// any could be the first to reach a line of the log, and tracing would remember that nobody listens there.
pub fn logged<T>(run: impl FnOnce() -> T) -> (T, Vec<String>) {
    static SUBSCRIBED: Once = Once::new();
    SUBSCRIBED.call_once(|| tracing::subscriber::set_global_default(Lines).unwrap());
    LINES.take();
    let result = run();
    (result, LINES.take())
}

/// What this thread has logged so far in [`logged`].
pub fn so_far() -> Vec<String> {
    LINES.with_borrow(Clone::clone)
}

struct Lines;

impl Subscriber for Lines {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("pylon_") && metadata.level() <= &Level::INFO
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = Line(event.metadata().level().to_string());
        event.record(&mut line);
        LINES.with_borrow_mut(|lines| lines.push(line.0));
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        write!(self.0, " {field}={value:?}").unwrap();
    }
}
