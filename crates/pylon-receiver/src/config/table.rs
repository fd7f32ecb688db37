//! A TOML table that is read strictly: keys are taken out of it, and what is left is unknown.

use super::fault::{ConfigFault, Fault};
use super::place::Place;
use super::unit::quoted;
use super::value::found;
use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::ops::Range;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// What is known of a file while it is read: where everything stands, and what is wrong.
pub(super) struct Reading<'i> {
    text: &'i str,
    lines: RefCell<HashMap<(Place, Option<&'static str>), usize>>,
    faults: RefCell<Vec<(usize, String)>>,
    faulty: RefCell<HashSet<(Place, Option<&'static str>)>>,
}

impl<'i> Reading<'i> {
    /// Reads the grammar of the text, and nothing of what it says.
    pub(super) fn new(text: &'i str) -> Result<(Self, DeTable<'i>), ConfigFault> {
        let (table, errors) = DeTable::parse_recoverable(text);
        let reading = Self { text, lines: RefCell::default(), faults: RefCell::default(), faulty: RefCell::default() };
        // The errors' `Display` would show the line, which may hold a secret.
        for error in &errors {
            let line = reading.line(error.span().unwrap_or_default());
            // What follows on the same line is mostly a consequence.
            if reading.faults.borrow().iter().all(|&(known, _)| known != line) {
                reading.note(line, Place::Top, None, format!("not TOML: {}", error.message()));
            }
        }
        match errors.as_slice() {
            [] => Ok((reading, table.into_inner())),
            _ => Err(reading.into_fault()),
        }
    }

    /// Adds what the whole was found to be wrong with, but for those parts that were not even read; fails if anything is wrong.
    pub(super) fn end(self, checked: Vec<Fault>) -> Result<(), ConfigFault> {
        let faulty = self.faulty.borrow().clone();
        for fault in checked.into_iter().filter(|fault| !is_consequence(fault, &faulty)) {
            let line = {
                let lines = self.lines.borrow();
                lines.get(&(fault.place, fault.key)).or_else(|| lines.get(&(fault.place, None))).copied()
            };
            self.note(line.unwrap_or(1), fault.place, fault.key, fault.to_string());
        }
        if self.faults.borrow().is_empty() { Ok(()) } else { Err(self.into_fault()) }
    }

    fn note(&self, line: usize, place: Place, key: Option<&'static str>, text: String) {
        self.faulty.borrow_mut().insert((place, key));
        self.faults.borrow_mut().push((line, text));
    }

    fn line(&self, span: Range<usize>) -> usize {
        let before = &self.text.as_bytes()[..span.start.min(self.text.len())];
        before.iter().filter(|&&byte| byte == b'\n').count() + 1
    }

    fn into_fault(self) -> ConfigFault {
        let mut faults = self.faults.into_inner();
        faults.sort_by_key(|&(line, _)| line);
        ConfigFault::new(faults.into_iter().map(|(line, text)| format!("line {line}: {text}")).collect())
    }
}

/// Whether what was found wrong with the whole may only follow from what could not be read.
fn is_consequence(fault: &Fault, faulty: &HashSet<(Place, Option<&'static str>)>) -> bool {
    let owner = fault.place.owner();
    match (owner, fault.key) {
        // An entry of a list hangs together.
        (Place::Endpoint(_) | Place::Destination(_), key) => {
            let is_any_endpoint_missed =
                key == Some("endpoints") && faulty.iter().any(|(place, _)| matches!(place.owner(), Place::Endpoint(_)));
            is_any_endpoint_missed || faulty.iter().any(|(place, _)| place.owner() == owner)
        }
        (Place::Top, Some("admin")) => {
            ["admin", "admin_token", "listen"].iter().any(|&key| faulty.contains(&(owner, Some(key))))
        }
        (_, key) => faulty.contains(&(owner, key)),
    }
}

/// A table of the file.
pub(super) struct Table<'r, 'i> {
    reading: &'r Reading<'i>,
    place: Place,
    line: usize,
    entries: DeTable<'i>,
}

impl<'r, 'i> Table<'r, 'i> {
    /// The whole file.
    pub(super) fn top(reading: &'r Reading<'i>, entries: DeTable<'i>) -> Self {
        Self { reading, place: Place::Top, line: 1, entries }
    }

    fn new(reading: &'r Reading<'i>, place: Place, line: usize, entries: DeTable<'i>) -> Self {
        reading.lines.borrow_mut().insert((place, None), line);
        Self { reading, place, line, entries }
    }

    /// Whether the key is there, and not taken yet.
    pub(super) fn has(&self, key: &str) -> bool {
        self.entries.contains_key(key)
    }

    /// Whether the key is there, with a table as its value.
    pub(super) fn holds_table(&self, key: &str) -> bool {
        self.entries.get(key).is_some_and(|value| value.get_ref().is_table())
    }

    /// The value of a key; none where there is no such key, or no such value, which is noted.
    pub(super) fn get<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(DeValue<'i>) -> Result<T, String>,
    ) -> Option<T> {
        let (line, value) = self.take(key)?;
        read(value.into_inner()).map_err(|text| self.note(line, Some(key), text)).ok()
    }

    /// Sets what the key says, where it is there.
    pub(super) fn set<T>(
        &mut self,
        key: &'static str,
        target: &mut T,
        read: impl FnOnce(DeValue<'i>) -> Result<T, String>,
    ) {
        if let Some(value) = self.get(key, read) {
            *target = value;
        }
    }

    /// The table under a key.
    pub(super) fn table(&mut self, key: &'static str, place: Place) -> Option<Table<'r, 'i>> {
        let (line, value) = self.take(key)?;
        match value.into_inner() {
            DeValue::Table(entries) => Some(Table::new(self.reading, place, line, entries)),
            other => {
                self.note(line, Some(key), format!("expected a table, found {}", found(&other)));
                None
            }
        }
    }

    /// The tables under a key that is written in double brackets.
    pub(super) fn tables(&mut self, key: &'static str, place: impl Fn(usize) -> Place) -> Vec<Table<'r, 'i>> {
        let Some((line, value)) = self.take(key) else { return Vec::new() };
        let values = match value.into_inner() {
            DeValue::Array(values) => values,
            DeValue::Table(_) => {
                self.note(line, Some(key), format!("expected `[[{key}]]`, found `[{key}]`; double the brackets"));
                return Vec::new();
            }
            other => {
                self.note(line, Some(key), format!("expected `[[{key}]]`, found {}", found(&other)));
                return Vec::new();
            }
        };
        let mut tables = Vec::new();
        for (index, value) in values.into_iter().enumerate() {
            let line = self.reading.line(value.span());
            match value.into_inner() {
                DeValue::Table(entries) => tables.push(Table::new(self.reading, place(index), line, entries)),
                other => {
                    let text = format!("{}: expected a table, found {}", place(index), found(&other));
                    self.reading.note(line, self.place, Some(key), text);
                }
            }
        }
        tables
    }

    /// Notes that a key should not be there, where it is.
    pub(super) fn refuse(&mut self, key: &'static str, text: &str) {
        if let Some((line, _)) = self.take(key) {
            self.note(line, Some(key), text.to_owned());
        }
    }

    /// Notes what is wrong with a key that should be there, or with the table as a whole.
    pub(super) fn fault(&self, key: Option<&'static str>, text: impl Into<String>) {
        let line = key.and_then(|key| self.reading.lines.borrow().get(&(self.place, Some(key))).copied());
        self.note(line.unwrap_or(self.line), key, text.into());
    }

    /// Lets a key be that is told of otherwise.
    pub(super) fn pass_over(&mut self, key: &str) {
        self.entries.remove(key);
    }

    /// Notes all keys that nobody asked for.
    pub(super) fn finish(self) {
        for key in self.entries.keys() {
            let (name, line) = (key.get_ref(), self.reading.line(key.span()));
            let whose = if self.place == Place::Top { String::new() } else { format!(" in {}", self.place) };
            let text = format!("unknown key {}{whose}: {}", quoted(name), self.place.hint(name));
            self.reading.note(line, self.place, None, text);
        }
    }

    fn take(&mut self, key: &'static str) -> Option<(usize, Spanned<DeValue<'i>>)> {
        debug_assert!(self.place.keys().contains(&key), "`{key}` is in no list of keys");
        let (name, value) = self.entries.remove_entry(key)?;
        let line = self.reading.line(name.span());
        self.reading.lines.borrow_mut().insert((self.place, Some(key)), line);
        Some((line, value))
    }

    fn note(&self, line: usize, key: Option<&'static str>, text: String) {
        self.reading.note(line, self.place, key, Fault { place: self.place, key, text }.to_string());
    }
}
