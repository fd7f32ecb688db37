//! The tables, by version.

/// The tables, a step for each version of them.
pub(super) const MIGRATIONS: [&str; 5] = [
    include_str!("schema/001.sql"),
    include_str!("schema/002.sql"),
    include_str!("schema/003.sql"),
    include_str!("schema/004.sql"),
    include_str!("schema/005.sql"),
];
/// The version of the tables.
pub(super) const VERSION: i32 = MIGRATIONS.len() as i32;
