//! The formats of tables.

use super::declare::{Entry, Format, Key, Section, Shown};
use super::fault::Place;
use super::table::Table;
use super::value::Slot;
use std::marker::PhantomData;

/// A table under a key, with its header as the file writes it.
pub(super) struct Nested<S>(&'static str, PhantomData<S>);

/// A table with this header.
pub(super) const fn nested<S>(header: &'static str) -> Nested<S> {
    Nested(header, PhantomData)
}

impl<S: Section, F: Slot<S>> Format<F> for Nested<S> {
    fn read(&self, key: &'static Key, slot: &mut F, table: &mut Table<'_, '_>) {
        if let Some(inner) = table.table(key.name, self.0) {
            *slot = F::of(read_whole(inner));
        }
    }

    fn visit(&self, key: &'static Key, slot: &F, place: Place, entries: &mut Vec<Entry>) {
        if let Some(section) = slot.value() {
            entries.push(Entry::new(place, key, "table", Shown::Table(self.0)));
            section.visit(place.inner(self.0), entries);
        }
    }
}

/// Tables in double brackets, with their header as the file writes it.
pub(super) struct List(pub(super) &'static str);

impl<S: Section> Format<Vec<S>> for List {
    fn read(&self, key: &'static Key, sections: &mut Vec<S>, table: &mut Table<'_, '_>) {
        if let Some(tables) = table.tables(key.name, self.0) {
            *sections = tables.into_iter().map(read_whole).collect();
        }
    }

    fn visit(&self, key: &'static Key, sections: &Vec<S>, place: Place, entries: &mut Vec<Entry>) {
        for (index, section) in sections.iter().enumerate() {
            entries.push(Entry::new(place, key, "table", Shown::Table(self.0)));
            section.visit(Place::entry(self.0, index), entries);
        }
    }
}

fn read_whole<S: Section>(mut table: Table<'_, '_>) -> S {
    let section = S::read(&mut table);
    table.finish();
    section
}
