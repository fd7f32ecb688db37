//! Conditions on the body of an event: the key `where` of a destination.

use super::pointer::pointer_fault;
use super::table::Wrong;
use super::value::{Value, array, expected, quote, read_array, value};
use crate::text::quoted;
use toml::de::DeValue;

/// A condition on the body of an event: one value has one of these texts.
///
/// A number or a boolean has the text that JSON writes for it, so `"1042"` and `1042` are equal. A `null`, a list, an object and a value
/// that is not there have no text and meet no condition. Case counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// The JSON pointer to the value, such as `/issue_status`.
    pub pointer: Box<str>,
    /// The texts.
    pub values: Vec<String>,
}

/// Conditions, in the order of the file.
pub(super) const CONDITIONS: Value<Vec<Condition>> = value("table of lists", read_conditions, |conditions| {
    let shown = conditions.iter().map(|Condition { pointer, values }| {
        format!("{} = {}", quote(pointer), array(values.iter().map(|value| quote(value))))
    });
    let shown: Vec<_> = shown.collect();
    Some(if shown.is_empty() { "{}".to_owned() } else { format!("{{ {} }}", shown.join(", ")) })
})
.checked(|conditions| {
    conditions.iter().find_map(|Condition { pointer, values }| {
        let no_values = || format!("expected at least one value for {}, found none", quoted(pointer));
        pointer_fault(pointer).or_else(|| values.is_empty().then(no_values))
    })
});

fn read_conditions(value: DeValue<'_>) -> Result<Vec<Condition>, Wrong> {
    let DeValue::Table(table) = value else {
        return Err(expected("a table such as `{ \"/issue_status\" = [\"closed\"] }`", &value));
    };
    let mut entries: Vec<_> = table.into_iter().collect();
    entries.sort_by_key(|(pointer, _)| pointer.span().start);
    let conditions = entries.into_iter().map(|(pointer, values)| {
        let values = read_array("an array of values", values.into_inner(), read_value);
        let values = values.map_err(|wrong| wrong.within(pointer.get_ref()).at(pointer.span()))?;
        Ok(Condition { pointer: pointer.get_ref().as_ref().into(), values })
    });
    conditions.collect()
}

fn read_value(value: DeValue<'_>) -> Result<String, Wrong> {
    match &value {
        DeValue::String(text) => Ok(text.as_ref().to_owned()),
        DeValue::Boolean(truth) => Ok(truth.to_string()),
        DeValue::Integer(integer) => match i64::from_str_radix(integer.as_str(), integer.radix()) {
            Ok(integer) => Ok(integer.to_string()),
            Err(_) => {
                Err("expected an integer of at most 64 bits, found another; write it as a string".to_owned().into())
            }
        },
        other => Err(expected("a string, an integer or a boolean", other)),
    }
}
