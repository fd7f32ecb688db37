//! A typed field as an attribute of the event classes.

use crate::event::WebhookEvent;
use pylon_webhooks::{DateTime, FieldValue, Shape};
use pyo3::exceptions::PyAttributeError;
use pyo3::prelude::*;
use pyo3::types::{PyDateTime, PyList, PyString, PyTzInfo};

// A descriptor that reads one typed field of an event. A doc comment here would stand in place of `__doc__` below.
#[pyclass(frozen, module = "pylon_webhooks._native")]
pub(crate) struct Field(&'static pylon_webhooks::Field);

impl Field {
    pub(crate) fn new(field: &'static pylon_webhooks::Field) -> Self {
        Self(field)
    }
}

#[pymethods]
impl Field {
    /// Name under which the field is read and sent.
    #[getter]
    fn name(&self) -> &'static str {
        self.0.name
    }

    /// What the field holds.
    #[getter(__doc__)]
    fn doc(&self) -> &'static str {
        self.0.doc
    }

    /// What it reads as: text, number, boolean, date_time or list.
    #[getter]
    fn shape(&self) -> &'static str {
        match self.0.shape {
            Shape::Id | Shape::Text => "text",
            Shape::Number => "number",
            Shape::Boolean => "boolean",
            Shape::DateTime => "date_time",
            Shape::List(_) => "list",
            _ => "other",
        }
    }

    fn __get__<'py>(
        slf: Bound<'py, Self>,
        event: &Bound<'py, PyAny>,
        _owner: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        if event.is_none() {
            return Ok(slf.into_any());
        }
        read(event.py(), event.cast::<WebhookEvent>()?.get().core(), slf.get().0)
    }

    fn __set__(&self, _event: &Bound<'_, PyAny>, _value: &Bound<'_, PyAny>) -> PyResult<()> {
        Err(frozen())
    }

    fn __delete__(&self, _event: &Bound<'_, PyAny>) -> PyResult<()> {
        Err(frozen())
    }
}

fn frozen() -> PyErr {
    PyAttributeError::new_err("events are frozen: build another one with the values that you want")
}

/// The field's value as Python has it: text and lists empty, all else `None`, where there is none.
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

/// A `datetime` in UTC; Python keeps microseconds, what is finer is cut off.
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
