//! What could not be read as typed.

use pyo3::prelude::*;

/// A typed field without a typed value, or `payload` for a repaired body.
#[pyclass(frozen, eq, hash, module = "pylon_webhooks.events")]
#[derive(PartialEq, Eq, Hash)]
pub(crate) struct Problem {
    /// Field's name, or `payload` for the body as a whole.
    #[pyo3(get)]
    field: String,
    /// Why there is no typed value.
    #[pyo3(get)]
    reason: String,
}

impl From<pylon_webhooks::Problem> for Problem {
    fn from(problem: pylon_webhooks::Problem) -> Self {
        Self { field: problem.field.to_owned(), reason: problem.reason.to_string() }
    }
}

#[pymethods]
impl Problem {
    #[new]
    fn new(field: String, reason: String) -> Self {
        Self { field, reason }
    }

    // Copying and pickling call this.
    fn __getnewargs__(&self) -> (&str, &str) {
        (&self.field, &self.reason)
    }

    fn __repr__(&self) -> String {
        format!("<Problem {}>", self.__str__())
    }

    fn __str__(&self) -> String {
        format!("{}: {}", self.field, self.reason)
    }
}
