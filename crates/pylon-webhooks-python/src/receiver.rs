//! Verification and reading in one call: what the Python `WebhookHandler` stands on.

use crate::error;
use crate::event::{self, WebhookEvent};
use crate::replay::ReplayRule;
use crate::text::{self, HeaderText};
use bytes::Bytes;
use pylon_webhooks::{
    Credentials, Error, EventReader, KindSource, Payload, Presented, Signed, TimestampRule, Verified, Verifier,
};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::{PyBytes, PyFloat, PyInt};
use pyo3::{PyTraverseError, PyVisit};
use std::time::Duration;

/// A configured verifier and reader.
#[pyclass(frozen, module = "pylon_webhooks._native")]
pub(crate) struct Receiver {
    verifier: Verifier,
    reader: EventReader,
    clock: Option<Py<PyAny>>,
}

#[pymethods]
impl Receiver {
    #[new]
    #[pyo3(signature = (
        secrets, *, tolerance_seconds, require_timestamp, signature_header, timestamp_header, clock, kind, kind_pointer,
        names, depth_limit
    ))]
    #[expect(clippy::too_many_arguments, reason = "keywords, each a setting of WebhookHandler")]
    fn new(
        secrets: Vec<Bound<'_, PyAny>>,
        tolerance_seconds: u64,
        require_timestamp: bool,
        signature_header: &str,
        timestamp_header: &str,
        clock: Option<Bound<'_, PyAny>>,
        kind: Option<&str>,
        kind_pointer: Option<&str>,
        names: Vec<(String, String)>,
        depth_limit: &Bound<'_, PyInt>,
    ) -> PyResult<Self> {
        // What does not fit is beyond every limit.
        let depth_limit = depth_limit.extract().unwrap_or(usize::MAX);
        let rule = if require_timestamp { TimestampRule::Required } else { TimestampRule::Optional };
        let mut verifier = Verifier::builder()
            .tolerance(Duration::from_secs(tolerance_seconds))
            .timestamp_rule(rule)
            .signature_header(signature_header)
            .timestamp_header(timestamp_header);
        for secret in &secrets {
            verifier = verifier.secret(text::secret(secret)?);
        }
        let source = match (kind, kind_pointer) {
            (None, None) => KindSource::Keys,
            (None, Some(pointer)) => KindSource::Pointer(pointer.into()),
            (Some(kind), None) => KindSource::Fixed(kind.into()),
            (Some(_), Some(_)) => return Err(PyValueError::new_err("kind and kind_pointer exclude each other")),
        };
        let mut reader = EventReader::new().kind_source(source).and_then(|reader| reader.depth_limit(depth_limit));
        for (name, kind) in names {
            let kind = text::kind(&kind)?;
            reader = reader.and_then(|reader| reader.name(name, kind));
        }
        if let Some(clock) = clock.as_ref().filter(|clock| !clock.is_callable()) {
            return Err(PyTypeError::new_err(format!("clock must be callable, not {}", text::type_name(clock))));
        }
        let refused = |error: pylon_webhooks::ConfigError| PyValueError::new_err(error.to_string());
        Ok(Self {
            verifier: verifier.build().map_err(refused)?,
            reader: reader.map_err(refused)?,
            clock: clock.map(Bound::unbind),
        })
    }

    /// Verify a delivery.
    #[pyo3(signature = (payload, signature, timestamp))]
    fn verify(
        &self,
        payload: &Bound<'_, PyAny>,
        signature: Option<&Bound<'_, PyAny>>,
        timestamp: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        let payload = text::payload(payload)?;
        self.verified(&payload, &Credentials::new(text::presented(signature), text::presented(timestamp))).map(drop)
    }

    /// Verify a delivery and read its event; `headers`, or a signature that is a mapping, stands for all the headers.
    #[pyo3(signature = (payload, signature, timestamp, headers))]
    fn receive<'py>(
        &self,
        payload: &Bound<'py, PyAny>,
        signature: Option<&Bound<'py, PyAny>>,
        timestamp: Option<&Bound<'py, PyAny>>,
        headers: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let payload = text::payload(payload)?;
        let credentials = self.credentials(signature, timestamp, headers)?;
        let verified = self.verified(&payload, &credentials)?;
        drop(verified);
        self.event(&payload)
    }

    /// Read an event without verifying anything.
    fn read<'py>(&self, payload: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let payload = text::payload(payload)?;
        self.event(&payload)
    }

    /// The key of an event that has just been received, and the Unix second from which on it may be forgotten.
    fn replay_key(
        &self,
        rule: &ReplayRule,
        event: &WebhookEvent,
        headers: &Bound<'_, PyAny>,
    ) -> PyResult<Option<(String, Option<u64>)>> {
        let credentials = text::credentials(headers, self.verifier.header_names())?;
        let timestamp = match &credentials.timestamp {
            Presented::Once(text) => std::str::from_utf8(text.as_ref()).ok().and_then(|text| text.parse().ok()),
            _ => None,
        };
        let now = match &self.clock {
            None => self.verifier.unix_seconds(),
            Some(clock) => unix_seconds(clock.bind(headers.py()))?,
        };
        let signed = Signed { now, timestamp, tolerance_seconds: self.verifier.tolerance().as_secs() };
        let event = Verified::assume(event.core().clone());
        Ok(rule.0.key(&event, signed).map(|key| (key.key, key.expires)))
    }

    // A clock is often a method of the object that holds the handler.
    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.clock)
    }

    /// The name of the kind that a name means here.
    fn kind_of(&self, name: &str) -> Option<&'static str> {
        self.reader.kind_of(name).map(pylon_webhooks::EventKind::name)
    }
}

impl Receiver {
    fn credentials<'py>(
        &self,
        signature: Option<&Bound<'py, PyAny>>,
        timestamp: Option<&Bound<'py, PyAny>>,
        headers: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Credentials<HeaderText<'py>>> {
        let presented = text::presented(signature);
        let headers = match (headers, &presented) {
            (Some(_), _) if signature.is_some() || timestamp.is_some() => {
                return Err(PyTypeError::new_err("pass signature and timestamp, or headers, not both"));
            }
            // py-usepylon-sdk takes the headers in second place.
            (None, Presented::OtherType(_)) if timestamp.is_none() => {
                signature.filter(|value| value.hasattr("items").unwrap_or(false))
            }
            _ => headers,
        };
        match headers {
            Some(headers) => text::credentials(headers, self.verifier.header_names()),
            None => Ok(Credentials::new(presented, text::presented(timestamp))),
        }
    }

    fn verified<'a>(
        &self,
        payload: &'a Bound<'_, PyBytes>,
        credentials: &Credentials<HeaderText<'_>>,
    ) -> PyResult<Verified<Payload<'a>>> {
        let py = payload.py();
        let mut clock_error = None;
        let now = || match &self.clock {
            None => self.verifier.unix_seconds(),
            Some(clock) => unix_seconds(clock.bind(py)).unwrap_or_else(|error| {
                clock_error = Some(error);
                0
            }),
        };
        let verified = self.verifier.verify_credentials(payload.as_bytes(), credentials, now);
        match clock_error {
            // Not the delivery's fault: a clock that fails says so itself.
            Some(error) => Err(error),
            None => verified.map_err(|error| error::exception(py, error)),
        }
    }

    /// Reads the event of a body; the body is shared with Python, not copied.
    fn event<'py>(&self, raw: &Bound<'py, PyBytes>) -> PyResult<Bound<'py, PyAny>> {
        let py = raw.py();
        let shared = Bytes::from_owner(PyBackedBytes::from(raw.clone()));
        let event = self.reader.read(shared).map_err(|error| error::exception(py, Error::Payload(error)))?;
        event::object(raw, event)
    }
}

/// What a clock says, in whole Unix seconds; one that stands before 1970 is read as 1970.
pub(crate) fn unix_seconds(clock: &Bound<'_, PyAny>) -> PyResult<u64> {
    let now = clock.call0()?;
    if let Ok(seconds) = now.cast::<PyFloat>() {
        let seconds = seconds.value();
        if !seconds.is_finite() {
            return Err(PyValueError::new_err("clock must return Unix seconds, found a number that is not finite"));
        }
        return Ok(seconds as u64);
    }
    now.extract::<i128>().map(|seconds| u64::try_from(seconds.max(0)).unwrap_or(u64::MAX)).map_err(|_| {
        PyTypeError::new_err(format!("clock must return Unix seconds as int or float, found {}", text::type_name(&now)))
    })
}
