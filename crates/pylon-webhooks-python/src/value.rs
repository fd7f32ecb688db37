//! A typed field's value as Python has it.

use pylon_webhooks::{DateTime, FieldValue, Shape};
use pyo3::prelude::*;
use pyo3::types::{PyDateTime, PyList, PyString, PyTzInfo};

/// The field's value in Python. A missing text or list is empty, any other missing value is `None`.
pub(crate) fn read<'py>(
    py: Python<'py>,
    event: &pylon_webhooks::WebhookEvent,
    field: &pylon_webhooks::Field,
) -> PyResult<Bound<'py, PyAny>> {
    match (event.read(field), field.shape) {
        (Ok(FieldValue::Text(text)), _) => Ok(PyString::new(py, &text).into_any()),
        (Ok(FieldValue::Number(number)), _) => Ok(number.into_pyobject(py)?.into_any()),
        (Ok(FieldValue::Boolean(boolean)), _) => Ok(boolean.into_pyobject(py)?.to_owned().into_any()),
        (Ok(FieldValue::DateTime(time)), _) => Ok(date_time(py, time)?.into_any()),
        (Ok(FieldValue::List(list)), _) => Ok(PyList::new(py, list.iter().map(|text| &**text))?.into_any()),
        (_, Shape::Id | Shape::Text) => Ok(PyString::new(py, "").into_any()),
        (_, Shape::List(_)) => Ok(PyList::empty(py).into_any()),
        (_, _) => Ok(py.None().into_bound(py)),
    }
}

/// A `datetime` in UTC. Python keeps microseconds; finer digits are cut off.
fn date_time(py: Python<'_>, time: DateTime) -> PyResult<Bound<'_, PyDateTime>> {
    let (year, month, day, hour, minute, second) = time.utc_parts();
    let part = |part: i8| part.unsigned_abs();
    let utc = PyTzInfo::utc(py)?.to_owned();
    PyDateTime::new(
        py,
        year.into(),
        part(month),
        part(day),
        part(hour),
        part(minute),
        part(second),
        time.nanoseconds() / 1_000,
        Some(&utc),
    )
}
