//! A TOML table that is read strictly: keys are taken out of it, and what is left over is unknown.

use super::fault::{ConfigFault, Fault, Place};
use crate::text::{nearest, one_of, quoted};
use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::ops::Range;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Where a key stands: the whole table without a key.
type Spot = (Place, Option<&'static str>);

/// The state of reading a file: where everything stands, and what is wrong.
pub(super) struct Reading<'i> {
    text: &'i str,
    /// Every key of the file, with its table.
    known: Vec<(Place, &'static str)>,
    lines: RefCell<HashMap<Spot, usize>>,
    faults: RefCell<Vec<(usize, Spot, String)>>,
}

impl<'i> Reading<'i> {
    /// Reads the grammar of a file, none of its meaning.
    pub(super) fn new(text: &'i str, known: Vec<(Place, &'static str)>) -> Result<(Self, DeTable<'i>), ConfigFault> {
        let (table, errors) = DeTable::parse_recoverable(text);
        let reading = Self { text, known, lines: RefCell::default(), faults: RefCell::default() };
        let mut last = 0;
        // The errors' `Display` would show the line, which may hold a secret.
        for error in &errors {
            let line = reading.line(error.span().unwrap_or_default());
            // Further errors of the same line mostly follow from the first.
            if std::mem::replace(&mut last, line) != line {
                let start = error.span().unwrap_or_default().start;
                let is_told = error.message().contains("quoted");
                let advice = if !is_told && is_bare_value(text, start) { "; put text in quotes" } else { "" };
                reading.note(line, (Place::TOP, None), format!("not TOML: {}{advice}", error.message()));
            }
        }
        if errors.is_empty() { Ok((reading, table.into_inner())) } else { Err(reading.into_fault()) }
    }

    /// Adds what is wrong between the keys, unless it may only follow from a key that could not be read.
    pub(super) fn end(self, rules: Vec<Fault>) -> Result<(), ConfigFault> {
        let faulty: HashSet<Spot> = self.faults.borrow().iter().map(|&(_, spot, _)| spot).collect();
        for fault in rules.into_iter().filter(|fault| !is_consequence(fault, &faulty)) {
            let spot = (fault.place, fault.key);
            let lines = self.lines.borrow();
            let line = lines.get(&spot).or_else(|| lines.get(&(fault.place, None))).copied();
            self.note(line.unwrap_or(1), spot, fault.to_string());
        }
        if self.faults.borrow().is_empty() { Ok(()) } else { Err(self.into_fault()) }
    }

    fn note(&self, line: usize, spot: Spot, text: String) {
        self.faults.borrow_mut().push((line, spot, text));
    }

    fn line(&self, span: Range<usize>) -> usize {
        let before = &self.text.as_bytes()[..span.start.min(self.text.len())];
        before.iter().filter(|&&byte| byte == b'\n').count() + 1
    }

    fn into_fault(self) -> ConfigFault {
        let mut faults = self.faults.into_inner();
        faults.sort_by_key(|&(line, ..)| line);
        ConfigFault::new(faults.into_iter().map(|(line, _, text)| format!("line {line}: {text}")).collect())
    }
}

/// Whether a fault between keys may only follow from a key that could not be read.
fn is_consequence(fault: &Fault, faulty: &HashSet<Spot>) -> bool {
    let is_faulty = |list: &str| faulty.iter().any(|(place, _)| place.entry.is_some_and(|(of, _)| of == list));
    match fault.place.entry {
        // A destination may name an endpoint that could not be read.
        Some(_) if fault.key == Some("endpoints") && is_faulty("[[endpoint]]") => true,
        Some(entry) => faulty.iter().any(|(place, _)| place.entry == Some(entry)),
        None if fault.key == Some("admin") => {
            ["admin", "admin_token", "listen"].iter().any(|&key| faulty.contains(&(Place::TOP, Some(key))))
                || is_faulty("[[operator]]")
        }
        None => faulty.contains(&(fault.place, fault.key)),
    }
}

/// A table of the file.
pub(super) struct Table<'r, 'i> {
    reading: &'r Reading<'i>,
    place: Place,
    line: usize,
    entries: DeTable<'i>,
    /// The keys that were asked for.
    known: Vec<&'static str>,
}

impl<'r, 'i> Table<'r, 'i> {
    /// The whole file.
    pub(super) fn top(reading: &'r Reading<'i>, entries: DeTable<'i>) -> Self {
        Self::new(reading, Place::TOP, 1, entries)
    }

    fn new(reading: &'r Reading<'i>, place: Place, line: usize, entries: DeTable<'i>) -> Self {
        reading.lines.borrow_mut().insert((place, None), line);
        Self { reading, place, line, entries, known: Vec::new() }
    }

    /// Whether the key is there, and not taken yet.
    pub(super) fn has(&self, key: &str) -> bool {
        self.entries.contains_key(key)
    }

    /// The value of a key; none without the key, or with a value that cannot be read, which is noted.
    pub(super) fn get<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(DeValue<'i>) -> Result<T, Wrong>,
    ) -> Option<T> {
        let (line, value) = self.take(key)?;
        let note = |Wrong { text, at }: Wrong| {
            self.note(at.map_or(line, |at| self.reading.line(at)), Some(key), text);
        };
        read(value.into_inner()).map_err(note).ok()
    }

    /// The table under a key.
    pub(super) fn table(&mut self, key: &'static str, header: &'static str) -> Option<Table<'r, 'i>> {
        let (line, value) = self.take(key)?;
        match value.into_inner() {
            DeValue::Table(entries) => Some(Table::new(self.reading, self.place.inner(header), line, entries)),
            other => {
                self.note(line, Some(key), format!("expected a table, found {}", found(&other)));
                None
            }
        }
    }

    /// The tables under a key that is written in double brackets; none without the key.
    pub(super) fn tables(&mut self, key: &'static str, header: &'static str) -> Option<Vec<Table<'r, 'i>>> {
        let (line, value) = self.take(key)?;
        let wrong = match value.into_inner() {
            DeValue::Array(values) => {
                let tables = values.into_iter().enumerate();
                return Some(tables.filter_map(|(index, value)| self.entry(key, header, index, value)).collect());
            }
            DeValue::Table(_) => format!("`[{key}]`; double the brackets"),
            other => found(&other).to_owned(),
        };
        self.note(line, Some(key), format!("expected `{header}`, found {wrong}"));
        None
    }

    fn entry(
        &self,
        key: &'static str,
        header: &'static str,
        index: usize,
        value: Spanned<DeValue<'i>>,
    ) -> Option<Table<'r, 'i>> {
        let (line, place) = (self.reading.line(value.span()), Place::entry(header, index));
        match value.into_inner() {
            DeValue::Table(entries) => Some(Table::new(self.reading, place, line, entries)),
            other => {
                let text = format!("{place}: expected a table, found {}", found(&other));
                self.reading.note(line, (self.place, Some(key)), text);
                None
            }
        }
    }

    /// Notes that the key should not be there, if it is.
    pub(super) fn refuse(&mut self, key: &'static str, text: &str) {
        if let Some((name, _)) = self.entries.remove_entry(key) {
            self.note(self.reading.line(name.span()), Some(key), text.to_owned());
        }
    }

    /// Notes that the key is missing, if it is.
    pub(super) fn require(&self, key: &str) {
        if !self.has(key) {
            self.fault(None, format!("expected `{key}`, found none"));
        }
    }

    /// Notes what is wrong with a key, or with the table as a whole.
    pub(super) fn fault(&self, key: Option<&'static str>, text: impl Into<String>) {
        let line = self.reading.lines.borrow().get(&(self.place, key)).copied();
        self.note(line.unwrap_or(self.line), key, text.into());
    }

    /// Notes all keys that are left over.
    pub(super) fn finish(self) {
        for key in self.entries.keys() {
            let (name, line) = (key.get_ref(), self.reading.line(key.span()));
            let whose = if self.place == Place::TOP { String::new() } else { format!(" in {}", self.place) };
            let text = format!("unknown key {}{whose}: {}", quoted(name), self.hint(name));
            self.reading.note(line, (self.place, None), text);
        }
    }

    /// What an unknown key may have been meant to be.
    fn hint(&self, key: &str) -> String {
        if let Some(near) = nearest(key, self.known.iter().copied()) {
            return format!("did you mean `{near}`?");
        }
        let list = |place: Place| place.entry.map(|(list, _)| list);
        let is_near = |place: Place| list(place).is_none() || list(place) == list(self.place);
        let elsewhere = self.reading.known.iter().find(|&&(place, known)| known == key && is_near(place));
        match elsewhere {
            Some((Place::TOP, _)) => "it belongs before the first table".to_owned(),
            Some((place, _)) => format!("it belongs in {}", place.table),
            None => format!("expected {}", one_of(self.known.iter().copied())),
        }
    }

    fn take(&mut self, key: &'static str) -> Option<(usize, Spanned<DeValue<'i>>)> {
        if !self.known.contains(&key) {
            self.known.push(key);
        }
        let (name, value) = self.entries.remove_entry(key)?;
        let line = self.reading.line(name.span());
        self.reading.lines.borrow_mut().insert((self.place, Some(key)), line);
        Some((line, value))
    }

    fn note(&self, line: usize, key: Option<&'static str>, text: String) {
        self.reading.note(line, (self.place, key), Fault { place: self.place, key, text }.to_string());
    }
}

/// What is wrong with a value.
#[derive(Debug)]
pub(super) struct Wrong {
    text: String,
    /// Where, if not at the key.
    at: Option<Range<usize>>,
}

impl Wrong {
    /// Says where, unless that is known.
    pub(super) fn at(self, span: Range<usize>) -> Self {
        Self { at: self.at.or(Some(span)), ..self }
    }

    /// Says in which part of the value.
    pub(super) fn within(self, part: &str) -> Self {
        Self { text: format!("{}: {}", quoted(part), self.text), ..self }
    }
}

impl From<String> for Wrong {
    fn from(text: String) -> Self {
        Self { text, at: None }
    }
}

/// Takes the values of some keys from a table that is a value itself.
pub(super) fn parts<'i, const N: usize>(
    table: DeTable<'i>,
    keys: [&'static str; N],
) -> Result<[Option<Spanned<DeValue<'i>>>; N], Wrong> {
    let mut table = table;
    let parts = keys.map(|key| table.remove(key));
    let Some(key) = table.keys().min_by_key(|key| key.span().start) else { return Ok(parts) };
    let hint = nearest(key.get_ref(), keys).map(|near| format!("did you mean `{near}`?"));
    let hint = hint.unwrap_or_else(|| format!("expected {}", one_of(keys)));
    Err(Wrong::from(format!("unknown key {}: {hint}", quoted(key.get_ref()))).at(key.span()))
}

/// What kind of value this is.
pub(super) fn found(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "an integer",
        DeValue::Float(_) => "a decimal fraction",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "an array",
        DeValue::Table(_) => "a table",
    }
}

/// Whether this place is in a value that begins like none of TOML's texts, lists and tables.
fn is_bare_value(text: &str, at: usize) -> bool {
    let start = text.as_bytes()[..at.min(text.len())].iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
    let line = text[start..].lines().next().unwrap_or_default();
    let Some((key, value)) = line.split_once('=') else { return false };
    at > start + key.len() && !value.trim_start().starts_with(['"', '\'', '[', '{', '#']) && !value.trim().is_empty()
}
