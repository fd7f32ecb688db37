//! How a key is declared: once, as a field of a struct with its sentence, its default, its format and when a change applies.
//!
//! The `keys!` macro turns each declaration into the field, a builder method, and a line in [`Section::read`] and
//! [`Section::visit`]. What is shown, checked, documented and compared are the entries that a visit collects.

use super::fault::Place;
use super::table::Table;

/// A key of the file.
#[derive(Debug, PartialEq)]
pub(super) struct Key {
    pub(super) name: &'static str,
    /// What the key is for, in Markdown.
    pub(super) doc: &'static str,
    pub(super) change: Change,
}

/// When a change of a key applies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    /// When the receiver reloads its configuration.
    Reload,
    /// When the receiver restarts.
    Restart,
}

/// A key in a configuration.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) place: Place,
    pub(super) key: &'static Key,
    /// What kind of value the key has.
    pub(super) kind: &'static str,
    pub(super) shown: Shown,
    /// Whether the initial value is one that users can have.
    pub(super) has_default: bool,
    /// What is wrong with the value.
    pub(super) fault: Option<String>,
}

impl Entry {
    /// An entry with nothing wrong.
    pub(super) fn new(place: Place, key: &'static Key, kind: &'static str, shown: Shown) -> Self {
        Self { place, key, kind, shown, has_default: true, fault: None }
    }
}

/// What the file says under a key.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Shown {
    /// This value.
    Value(String),
    /// Nothing, because the value is the program's own.
    Given,
    /// Nothing, because there is no value.
    Absent,
    /// A table with this header.
    Table(&'static str),
}

impl Shown {
    /// An optional value.
    pub(super) fn optional(value: Option<String>) -> Self {
        value.map_or(Self::Absent, Self::Value)
    }
}

/// How a value stands in the file: under one key, under several, or as a table.
pub(super) trait Format<T> {
    /// Takes the value from a table, if the table has it; notes what is wrong.
    fn read(&self, key: &'static Key, value: &mut T, table: &mut Table<'_, '_>);
    /// Adds the value's entries.
    fn visit(&self, key: &'static Key, value: &T, place: Place, entries: &mut Vec<Entry>);
}

/// A struct whose fields are keys of one table of the file.
pub(super) trait Section: Default {
    /// Takes the fields from a table; notes what is wrong.
    fn read(table: &mut Table<'_, '_>) -> Self;
    /// Adds the entries of all fields.
    fn visit(&self, place: Place, entries: &mut Vec<Entry>);

    /// The names of the keys.
    fn names() -> Vec<&'static str> {
        let mut entries = Vec::new();
        Self::default().visit(Place::TOP, &mut entries);
        entries.into_iter().map(|entry| entry.key.name).collect()
    }
}

/// Declares a struct whose fields are keys of one table.
///
/// Each field has a sentence, a name (`as` gives the key another one), a type, a default, a format, and when a change applies.
macro_rules! keys {
    ($(#[$meta:meta])* $section:ident { $(
        #[doc = $doc:literal]
        $field:ident $(as $name:literal)?: $type:ty = $initial:expr, $format:expr, $change:ident;
    )+ }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq)]
        #[non_exhaustive]
        pub struct $section {
            $(#[doc = $doc] pub $field: $type,)+
        }

        impl $section {
            $(
                #[doc = $doc]
                #[must_use]
                pub fn $field(mut self, $field: $type) -> Self {
                    self.$field = $field;
                    self
                }
            )+
        }

        impl Default for $section {
            fn default() -> Self {
                Self { $($field: $initial,)+ }
            }
        }

        impl $crate::config::declare::Section for $section {
            fn read(table: &mut $crate::config::table::Table<'_, '_>) -> Self {
                let mut section = Self::default();
                $({
                    let key = $crate::config::declare::key!($doc, $change, $field $($name)?);
                    $crate::config::declare::Format::read(&$format, key, &mut section.$field, table);
                })+
                section
            }

            fn visit(
                &self,
                place: $crate::config::fault::Place,
                entries: &mut Vec<$crate::config::declare::Entry>,
            ) {
                $({
                    let key = $crate::config::declare::key!($doc, $change, $field $($name)?);
                    $crate::config::declare::Format::visit(&$format, key, &self.$field, place, entries);
                })+
            }
        }
    };
}

/// The key of a field.
macro_rules! key {
    ($doc:literal, $change:ident, $field:ident) => {
        $crate::config::declare::key!($doc, $change, $field stringify!($field))
    };
    ($doc:expr, $change:ident, $field:ident $name:expr) => {
        const {
            &$crate::config::declare::Key { name: $name, doc: $doc, change: $crate::config::declare::Change::$change }
        }
    };
}

pub(super) use {key, keys};
