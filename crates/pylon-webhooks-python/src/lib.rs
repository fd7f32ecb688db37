//! The native half of the Python package: converts types and errors, and knows no rule that the core lacks.

mod classes;
mod clock;
mod error;
mod event;
mod field;
mod intake;
mod interpreter;
mod outcome;
mod problem;
mod replay;
mod text;
mod value;

use pylon_webhooks::testing::Sample;
use pylon_webhooks::{EventKind, Secret};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

/// Sign a body as Pylon does: 64 lowercase hexadecimal digits.
///
/// Without a timestamp the signed bytes are the body, with one "{timestamp}.{body}"; the timestamp is text, or whole Unix
/// seconds. Raises ValueError for an empty secret and PylonWebhookPayloadError for a body that is not bytes.
#[pyfunction]
#[pyo3(signature = (secret, payload, timestamp = None))]
fn sign(secret: &Bound<'_, PyAny>, payload: &Bound<'_, PyAny>, timestamp: Option<TimestampText>) -> PyResult<String> {
    let secret = Secret::new(text::secret(secret)?).map_err(|error| PyValueError::new_err(error.to_string()))?;
    let payload = text::body(payload)?;
    let timestamp = timestamp.map(|timestamp| match timestamp {
        TimestampText::Text(text) => text,
        TimestampText::UnixSeconds(seconds) => seconds.to_string(),
    });
    Ok(pylon_webhooks::sign(&secret, payload.bytes.as_bytes(), timestamp.as_deref()))
}

/// A timestamp to sign with.
#[derive(FromPyObject)]
enum TimestampText {
    Text(String),
    UnixSeconds(u64),
}

/// The kind of this name, or the kind whose class has this name.
#[pyfunction]
fn kind_named(name: &str) -> Option<&'static str> {
    EventKind::from_name(name).map(EventKind::name)
}

/// The kind that an unknown name probably means.
#[pyfunction]
fn probably_meant(name: &str) -> Option<&'static str> {
    EventKind::probably_meant(name).map(EventKind::name)
}

/// Whether two event names are equal.
#[pyfunction]
fn names_match(one: &str, other: &str) -> bool {
    pylon_webhooks::names_match(one, other)
}

/// The body to paste into a trigger's "Send webhook" action.
#[pyfunction]
fn template(kind: &str) -> PyResult<String> {
    Ok(text::kind(kind)?.template())
}

/// The body that Pylon sends with a kind's template, with a sample value for each variable.
#[pyfunction]
fn sample(kind: &str) -> PyResult<Vec<u8>> {
    Ok(Sample::of(text::kind(kind)?).body())
}

#[pymodule(gil_used = false)]
fn _native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    interpreter::check(module.py())?;
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add_function(wrap_pyfunction!(sign, module)?)?;
    module.add_function(wrap_pyfunction!(kind_named, module)?)?;
    module.add_function(wrap_pyfunction!(probably_meant, module)?)?;
    module.add_function(wrap_pyfunction!(names_match, module)?)?;
    module.add_function(wrap_pyfunction!(template, module)?)?;
    module.add_function(wrap_pyfunction!(sample, module)?)?;
    module.add_class::<intake::Admitted>()?;
    module.add_class::<intake::Intake>()?;
    module.add_class::<outcome::Outcome>()?;
    module.add_class::<outcome::RequestFault>()?;
    module.add_class::<replay::MemoryReplayStore>()?;
    module.add_class::<replay::ReplayRule>()?;
    module.add_class::<field::Field>()?;
    module.add_class::<problem::Problem>()?;
    module.add_function(wrap_pyfunction!(event::rebuild_event, module)?)?;
    module.add_function(wrap_pyfunction!(event::parse_webhook_event, module)?)?;
    classes::add_to(module)
}
