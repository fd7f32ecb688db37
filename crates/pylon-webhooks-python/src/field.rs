//! A typed field as an attribute of the event classes.

use crate::event::WebhookEvent;
use crate::value;
use pylon_webhooks::Shape;
use pyo3::exceptions::PyAttributeError;
use pyo3::prelude::*;

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
    /// Field's name, and the key in our templates.
    #[getter]
    fn name(&self) -> &'static str {
        self.0.name
    }

    /// What the field holds.
    #[getter(__doc__)]
    fn doc(&self) -> &'static str {
        self.0.doc
    }

    /// Shape: text, number, boolean, date_time or list.
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
        value::read(event.py(), event.cast::<WebhookEvent>()?.get().core(), slf.get().0)
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
