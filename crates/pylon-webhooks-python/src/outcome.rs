//! The answer to a request, and why a request is refused before its signature is checked.

use pyo3::prelude::*;
use pyo3::types::PyBytes;

/// The result of a request, as the sender sees it.
#[pyclass(frozen, eq, hash, module = "pylon_webhooks.endpoint")]
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Outcome(pub(crate) pylon_webhooks::Outcome);

#[pymethods]
impl Outcome {
    #[classattr]
    const HANDLED: Self = Self(pylon_webhooks::Outcome::Handled);
    #[classattr]
    const ACCEPTED: Self = Self(pylon_webhooks::Outcome::Accepted);
    #[classattr]
    const DUPLICATE: Self = Self(pylon_webhooks::Outcome::Duplicate);
    #[classattr]
    const IGNORED: Self = Self(pylon_webhooks::Outcome::Ignored);
    #[classattr]
    const UNREADABLE: Self = Self(pylon_webhooks::Outcome::Unreadable);
    #[classattr]
    const UNAUTHORIZED: Self = Self(pylon_webhooks::Outcome::Unauthorized);
    #[classattr]
    const METHOD_NOT_ALLOWED: Self = Self(pylon_webhooks::Outcome::MethodNotAllowed);
    #[classattr]
    const LENGTH_REQUIRED: Self = Self(pylon_webhooks::Outcome::LengthRequired);
    #[classattr]
    const TOO_LARGE: Self = Self(pylon_webhooks::Outcome::TooLarge);
    #[classattr]
    const FAILED: Self = Self(pylon_webhooks::Outcome::Failed);
    #[classattr]
    const UNAVAILABLE: Self = Self(pylon_webhooks::Outcome::Unavailable);

    /// Outcome of a delivery that failed with an error of this code.
    #[staticmethod]
    fn of_code(code: &str) -> Self {
        Self(pylon_webhooks::bindings::outcome_of_code(code))
    }

    /// Stable name, for logs and metrics.
    #[getter]
    fn name(&self) -> &'static str {
        self.0.name()
    }

    /// Status code to answer with.
    #[getter]
    fn status(&self) -> u16 {
        self.0.status()
    }

    /// Body to answer with, JSON.
    #[getter]
    fn body<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, self.0.body().as_bytes())
    }

    /// Headers to answer with, except the body's length.
    #[getter]
    fn headers(&self) -> Vec<(&'static str, &'static str)> {
        self.0.headers().to_vec()
    }

    fn __repr__(&self) -> String {
        format!("<Outcome {} {}>", self.0.status(), self.0.name())
    }
}

/// Why a request was refused before its signature was checked.
#[pyclass(frozen, module = "pylon_webhooks._native")]
pub(crate) struct RequestFault(pub(crate) pylon_webhooks::RequestFault);

#[pymethods]
impl RequestFault {
    #[classattr]
    const BROKEN: Self = Self(pylon_webhooks::RequestFault::Broken);
    #[classattr]
    const CONSUMED: Self = Self(pylon_webhooks::RequestFault::Consumed);
    #[classattr]
    const LENGTH_REQUIRED: Self = Self(pylon_webhooks::RequestFault::LengthRequired);

    /// A body of more bytes than the limit.
    #[staticmethod]
    fn too_large(limit: usize) -> Self {
        Self(pylon_webhooks::RequestFault::TooLarge { limit })
    }

    #[getter]
    fn outcome(&self) -> Outcome {
        Outcome(self.0.into())
    }

    fn __str__(&self) -> String {
        self.0.to_string()
    }
}
