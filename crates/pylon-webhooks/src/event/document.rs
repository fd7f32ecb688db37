//! A JSON text as the usual serializers would write it. Its numbers stay as they are: nothing is decoded but strings.

use super::kind::EventKind;
use super::scan::{ScanFault, Scanner, Span};
use std::collections::HashSet;
use std::fmt::Write;
use std::iter;

/// How deep a document may nest: forms are written by recursion.
const DEEPEST: usize = 32;

/// A JSON text taken apart.
pub(crate) struct Document<'t> {
    root: Value<'t>,
}

enum Value<'t> {
    /// A number, `true`, `false` or `null`, as it stands in the text.
    Word(&'t str),
    Text(Text<'t>),
    Array(Vec<Value<'t>>),
    Object(Vec<(Text<'t>, Value<'t>)>),
}

/// A string: as it stands in the text with its quotes, and what it says; none for half a surrogate pair, which has no text.
struct Text<'t> {
    raw: &'t str,
    decoded: Option<String>,
}

/// What a serializer writes between the values.
#[derive(Clone, Copy)]
enum Layout {
    /// Nothing, as JavaScript, Go and Rust.
    Compact,
    /// A space behind each comma and colon, as Python.
    Spaced,
    /// A line for each value, indented by this text for each level.
    Indented(&'static str),
}

/// Which characters a serializer escapes, beside those that JSON demands.
#[derive(Clone, Copy)]
enum Escapes {
    /// Those that the text has.
    AsSent,
    /// None.
    Least,
    /// Everything outside ASCII, as Python.
    Ascii,
    /// What HTML or JavaScript would read, as Go.
    Html,
}

/// In which order a serializer writes keys.
#[derive(Clone, Copy)]
enum Order {
    AsSent,
    /// As our template for the event's kind has them.
    Template(EventKind),
    Sorted,
}

impl<'t> Document<'t> {
    /// Takes a text apart; none when it is no JSON, or nests deeper than 32 levels.
    pub(crate) fn read(text: &'t str) -> Option<Self> {
        let mut scanner = Scanner::new(text, 0..text.len(), DEEPEST);
        let root = value(text, &mut scanner).ok()?;
        scanner.end().ok()?;
        Some(Self { root })
    }

    /// The text in the usual forms, likeliest first, without a line end behind it: as many as come to this number of bytes
    /// together. Each form is made when it is asked for.
    pub(crate) fn forms(&self, most_bytes: usize) -> impl Iterator<Item = String> {
        let template = self.kind().map(Order::Template);
        let orders = [Some(Order::AsSent), template, Some(Order::Sorted)].into_iter().flatten();
        let styles = orders.flat_map(|order| {
            [Escapes::AsSent, Escapes::Least, Escapes::Ascii, Escapes::Html].map(|escapes| (order, escapes))
        });
        let (mut written, mut seen) = (0, HashSet::new());
        styles
            .map(move |(order, escapes)| (order, escapes, self.written(Layout::Compact, order, escapes)))
            // What has nothing to escape or to sort looks the same in every style.
            .filter(move |(.., compact)| seen.insert(compact.clone()))
            .flat_map(move |(order, escapes, compact)| {
                let indents = ["  ", "    ", "\t"].map(Layout::Indented).into_iter();
                let write = move |layout| self.written(layout, order, escapes);
                let spaced = iter::once(Layout::Spaced).chain(indents.clone()).map(write);
                // No string of JSON has a raw line feed.
                let with_returns = indents.map(move |layout| write(layout).replace('\n', "\r\n"));
                iter::once(compact).chain(spaced).chain(with_returns)
            })
            .take_while(move |form| {
                written += form.len();
                written <= most_bytes
            })
    }

    /// The event's kind, where the keys are those of its template.
    fn kind(&self) -> Option<EventKind> {
        let Value::Object(members) = &self.root else { return None };
        let texts = members.iter().filter(|(key, _)| key.is("event_type")).map(|(_, value)| match value {
            Value::Text(text) => text.decoded.as_deref(),
            _ => None,
        });
        let kind = EventKind::from_name(texts.flatten().next()?)?;
        members.iter().all(|(key, _)| key.place_in(kind).is_some()).then_some(kind)
    }

    fn written(&self, layout: Layout, order: Order, escapes: Escapes) -> String {
        let mut writer = Writer { out: String::new(), layout, order, escapes, level: 0 };
        writer.value(&self.root);
        writer.out
    }
}

fn value<'t>(text: &'t str, scanner: &mut Scanner<'_>) -> Result<Value<'t>, ScanFault> {
    match scanner.next() {
        Some(b'{') => {
            let mut members = Vec::new();
            scanner.items(b'{', |scanner| {
                let (key, _) = scanner.key()?;
                members.push((Text::new(text, key.start - 1..key.end + 1), value(text, scanner)?));
                Ok(())
            })?;
            Ok(Value::Object(members))
        }
        Some(b'[') => {
            let mut elements = Vec::new();
            scanner.items(b'[', |scanner| {
                elements.push(value(text, scanner)?);
                Ok(())
            })?;
            Ok(Value::Array(elements))
        }
        Some(b'"') => Ok(Value::Text(Text::new(text, scanner.span_of_value()?))),
        _ => Ok(Value::Word(&text[scanner.span_of_value()?])),
    }
}

impl<'t> Text<'t> {
    fn new(text: &'t str, span: Span) -> Self {
        let raw = &text[span];
        Self { raw, decoded: serde_json::from_str(raw).ok() }
    }

    fn is(&self, text: &str) -> bool {
        self.decoded.as_deref() == Some(text)
    }

    /// Where the template for the kind has this key.
    fn place_in(&self, kind: EventKind) -> Option<usize> {
        iter::once("event_type").chain(kind.variables().map(|(key, _)| key)).position(|key| self.is(key))
    }
}

struct Writer {
    out: String,
    layout: Layout,
    order: Order,
    escapes: Escapes,
    /// How many arrays and objects are open.
    level: usize,
}

impl Writer {
    fn value(&mut self, value: &Value<'_>) {
        match value {
            Value::Word(word) => self.out.push_str(word),
            Value::Text(text) => self.text(text),
            Value::Array(elements) => self.list('[', elements.iter(), ']', |writer, element| writer.value(element)),
            Value::Object(members) => {
                let mut members: Vec<&(Text<'_>, Value<'_>)> = members.iter().collect();
                match self.order {
                    Order::AsSent => {}
                    Order::Sorted => members.sort_by(|(one, _), (other, _)| one.decoded.cmp(&other.decoded)),
                    Order::Template(kind) if self.level == 0 => members.sort_by_key(|(key, _)| key.place_in(kind)),
                    Order::Template(_) => {}
                }
                let colon = if matches!(self.layout, Layout::Compact) { ":" } else { ": " };
                self.list('{', members.into_iter(), '}', |writer, (key, value)| {
                    writer.text(key);
                    writer.out.push_str(colon);
                    writer.value(value);
                });
            }
        }
    }

    fn list<I: ExactSizeIterator>(&mut self, open: char, items: I, close: char, write: impl Fn(&mut Self, I::Item)) {
        self.out.push(open);
        self.level += 1;
        let is_empty = items.len() == 0;
        for (number, item) in items.enumerate() {
            match self.layout {
                Layout::Compact if number > 0 => self.out.push(','),
                Layout::Spaced if number > 0 => self.out.push_str(", "),
                Layout::Indented(_) if number > 0 => self.out.push_str(",\n"),
                Layout::Indented(_) => self.out.push('\n'),
                _ => {}
            }
            self.indent();
            write(self, item);
        }
        self.level -= 1;
        if !is_empty && matches!(self.layout, Layout::Indented(_)) {
            self.out.push('\n');
            self.indent();
        }
        self.out.push(close);
    }

    fn indent(&mut self) {
        if let Layout::Indented(indent) = self.layout {
            (0..self.level).for_each(|_| self.out.push_str(indent));
        }
    }

    fn text(&mut self, text: &Text<'_>) {
        let Some(decoded) = text.decoded.as_ref().filter(|_| !matches!(self.escapes, Escapes::AsSent)) else {
            return self.out.push_str(text.raw);
        };
        self.out.push('"');
        for character in decoded.chars() {
            let is_escaped = match (self.escapes, character) {
                (_, '\0'..='\x1f') => true,
                (Escapes::Ascii, _) => !character.is_ascii(),
                (Escapes::Html, _) => matches!(character, '<' | '>' | '&' | '\u{2028}' | '\u{2029}'),
                _ => false,
            };
            match character {
                '"' => self.out.push_str("\\\""),
                '\\' => self.out.push_str("\\\\"),
                '\n' => self.out.push_str("\\n"),
                '\r' => self.out.push_str("\\r"),
                '\t' => self.out.push_str("\\t"),
                '\x08' => self.out.push_str("\\b"),
                '\x0c' => self.out.push_str("\\f"),
                _ if is_escaped => self.escape(character),
                _ => self.out.push(character),
            }
        }
        self.out.push('"');
    }

    fn escape(&mut self, character: char) {
        for unit in character.encode_utf16(&mut [0; 2]) {
            // Writing to a `String` never fails.
            let _ = write!(self.out, "\\u{unit:04x}");
        }
    }
}
