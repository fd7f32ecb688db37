//! What commands print: text, tables, JSON.

pub(crate) mod answer;
pub(crate) mod body;
pub(crate) mod issue;
pub(crate) mod moment;
pub(crate) mod output;
pub(crate) mod table;
pub(crate) mod text;
