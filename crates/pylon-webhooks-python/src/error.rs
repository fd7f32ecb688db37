//! The core's errors as the package's exceptions.

use pylon_webhooks::{Error, PayloadError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyType};

/// The exception for an error. A payload error keeps the bytes.
pub(crate) fn exception(py: Python<'_>, error: Error) -> PyErr {
    let message = error.to_string();
    let made = match &error {
        Error::SignatureMissing { .. } | Error::SignatureMalformed { .. } | Error::SignatureMismatch { .. } => {
            class(py, "PylonWebhookSignatureError").and_then(|class| class.call1((message, error.code())))
        }
        Error::TimestampMissing { .. } | Error::TimestampMalformed { .. } => {
            class(py, "PylonWebhookTimestampError").and_then(|class| class.call1((message, error.code())))
        }
        Error::TimestampStale { age_seconds, tolerance_seconds } => class(py, "PylonWebhookTimestampError")
            .and_then(|class| class.call1((message, error.code(), i128::from(*age_seconds), *tolerance_seconds))),
        Error::TimestampFuture { ahead_seconds, tolerance_seconds } => class(py, "PylonWebhookTimestampError")
            .and_then(|class| class.call1((message, error.code(), -i128::from(*ahead_seconds), *tolerance_seconds))),
        Error::Payload(error) => payload_exception(py, error),
        _ => class(py, "PylonWebhookError").and_then(|class| class.call1((message, error.code()))),
    };
    made.map_or_else(|error| error, PyErr::from_value)
}

/// The exception for a body that is not JSON, with the body.
pub(crate) fn unreadable(py: Python<'_>, error: &PayloadError) -> PyErr {
    payload_exception(py, error).map_or_else(|error| error, PyErr::from_value)
}

/// The exception for a body of another type; there are no bytes to keep.
pub(crate) fn not_bytes(py: Python<'_>, found: &'static str) -> PyErr {
    let message = format!("unreadable payload: {}", pylon_webhooks::PayloadFault::Type(found));
    let made = class(py, "PylonWebhookPayloadError").and_then(|class| class.call1((message, py.None())));
    made.map_or_else(|error| error, PyErr::from_value)
}

fn payload_exception<'py>(py: Python<'py>, error: &PayloadError) -> PyResult<Bound<'py, PyAny>> {
    class(py, "PylonWebhookPayloadError")?.call1((error.to_string(), PyBytes::new(py, error.payload())))
}

fn class<'py>(py: Python<'py>, name: &str) -> PyResult<Bound<'py, PyAny>> {
    // Each interpreter of the process has classes of its own, and the native module is loaded once for all of them.
    let class = py.import("pylon_webhooks.exceptions")?.getattr(name)?;
    debug_assert!(class.is_instance_of::<PyType>());
    Ok(class)
}
