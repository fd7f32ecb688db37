//! From a delivery to its event: the native part of the Python `WebhookHandler` and `Endpoint`.

use crate::clock;
use crate::error;
use crate::event;
use crate::outcome::RequestFault;
use crate::replay::ReplayRule;
use crate::text::{self, Body};
use pylon_webhooks::bindings::{self, Credentials, HeaderValue};
use pylon_webhooks::{Admission, Error, EventReader, NameSource, Payload, Received, Secret, TimestampRule, Verifier};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyInt;
use pyo3::{PyTraverseError, PyVisit};
use std::time::Duration;

/// The key of a replay guard, and the Unix time in seconds at which it may be forgotten.
type ReplayKey = (String, Option<u64>);

/// The settings of an address: verifier, reader and body limit.
#[pyclass(frozen, module = "pylon_webhooks._native")]
pub(crate) struct Intake {
    verifier: Verifier,
    /// False accepts every delivery, as code written for py-usepylon-sdk may need.
    verifies: bool,
    reader: EventReader,
    admission: Admission,
    clock: Option<Py<PyAny>>,
    secret_flaws: Vec<String>,
}

#[pymethods]
impl Intake {
    #[new]
    #[pyo3(signature = (
        secrets, *, verify_signature, tolerance_seconds, require_timestamp, signature_header, timestamp_header, clock,
        event_name, event_name_pointer, names, depth_limit
    ))]
    #[expect(clippy::too_many_arguments, reason = "keywords, each a setting of WebhookHandler")]
    fn new(
        secrets: Vec<Bound<'_, PyAny>>,
        verify_signature: bool,
        tolerance_seconds: u64,
        require_timestamp: bool,
        signature_header: &str,
        timestamp_header: &str,
        clock: Option<Bound<'_, PyAny>>,
        event_name: Option<&str>,
        event_name_pointer: Option<&str>,
        names: Vec<(String, String)>,
        depth_limit: &Bound<'_, PyInt>,
    ) -> PyResult<Self> {
        // A number that does not fit exceeds every limit.
        let depth_limit = depth_limit.extract().unwrap_or(usize::MAX);
        let rule = if require_timestamp { TimestampRule::Required } else { TimestampRule::Optional };
        let mut verifier = Verifier::builder()
            .tolerance(Duration::from_secs(tolerance_seconds))
            .timestamp_rule(rule)
            .signature_header(signature_header)
            .timestamp_header(timestamp_header);
        let mut secret_flaws = Vec::new();
        for secret in &secrets {
            let secret = text::secret(secret)?;
            let flaw = Secret::new(&secret).ok().and_then(|secret| secret.flaw());
            secret_flaws.extend(flaw.map(|flaw| flaw.to_string()));
            verifier = verifier.secret(secret);
        }
        let source = match (event_name, event_name_pointer) {
            (None, None) => NameSource::Keys,
            (None, Some(pointer)) => NameSource::Pointer(pointer.into()),
            (Some(name), None) => NameSource::Fixed(name.into()),
            (Some(_), Some(_)) => return Err(PyValueError::new_err("pass event_name or event_name_pointer, not both")),
        };
        let mut reader = EventReader::builder().name_source(source).depth_limit(depth_limit);
        for (name, kind) in names {
            reader = reader.name(name, text::kind(&kind)?);
        }
        clock::check(clock.as_ref())?;
        let refused = |error: pylon_webhooks::ConfigError| PyValueError::new_err(error.to_string());
        let verifier = verifier.build().map_err(refused)?;
        Ok(Self {
            admission: verifier.admission(),
            verifier,
            verifies: verify_signature,
            reader: reader.build().map_err(refused)?,
            clock: clock.map(Bound::unbind),
            secret_flaws,
        })
    }

    /// The same with another limit for the body, in bytes.
    fn with_body_limit(&self, py: Python<'_>, bytes: usize) -> Self {
        Self {
            verifier: self.verifier.clone(),
            verifies: self.verifies,
            reader: self.reader.clone(),
            admission: self.admission.clone().body_limit(bytes),
            clock: self.clock.as_ref().map(|clock| clock.clone_ref(py)),
            secret_flaws: self.secret_flaws.clone(),
        }
    }

    /// What is probably wrong with the secrets, a sentence each.
    #[getter]
    fn secret_flaws(&self) -> Vec<String> {
        self.secret_flaws.clone()
    }

    /// The largest body that is accepted, in bytes.
    #[getter]
    fn body_limit(&self) -> usize {
        self.admission.limit()
    }

    /// Decide by method and headers whether to read the body. Goes through the headers once.
    fn admit<'py>(slf: &Bound<'py, Self>, method: &str, headers: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        match text::walk(headers, &slf.get().admission)?.admit(method) {
            Ok(admitted) => Ok(Bound::new(py, Admitted { admitted, intake: slf.clone().unbind() })?.into_any()),
            Err(fault) => Ok(Bound::new(py, RequestFault(fault))?.into_any()),
        }
    }

    /// Verify a delivery, whatever `verify_signature` was.
    #[pyo3(signature = (payload, signature, timestamp))]
    fn verify(
        &self,
        payload: &Bound<'_, PyAny>,
        signature: Option<&Bound<'_, PyAny>>,
        timestamp: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        let body = text::body(payload)?;
        let credentials = Credentials::new(text::header_value(signature), text::header_value(timestamp));
        self.check(payload.py(), &bindings::received(body.payload(), credentials))
    }

    /// Verify a delivery and read its event. `headers`, or a mapping as signature, means all headers.
    #[pyo3(signature = (payload, signature, timestamp, headers))]
    fn receive<'py>(
        &self,
        payload: &Bound<'py, PyAny>,
        signature: Option<&Bound<'py, PyAny>>,
        timestamp: Option<&Bound<'py, PyAny>>,
        headers: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let body = text::body(payload)?;
        if self.verifies {
            let credentials = self.credentials(signature, timestamp, headers)?;
            self.check(payload.py(), &bindings::received(body.payload(), credentials))?;
        }
        self.parse(&body, body.shared())
    }

    /// The name of the kind that a name means here.
    fn kind_of(&self, name: &str) -> Option<&'static str> {
        self.reader.kind_of(name).map(pylon_webhooks::EventKind::name)
    }

    // A clock is often a method of the object that holds the handler.
    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.clock)
    }
}

impl Intake {
    fn credentials<'py>(
        &self,
        signature: Option<&Bound<'py, PyAny>>,
        timestamp: Option<&Bound<'py, PyAny>>,
        headers: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Credentials> {
        let presented = text::header_value(signature);
        let headers = match (headers, &presented) {
            (Some(_), _) if signature.is_some() || timestamp.is_some() => {
                return Err(PyTypeError::new_err("pass signature and timestamp, or headers, not both"));
            }
            // py-usepylon-sdk takes the headers in second place.
            (None, Some(HeaderValue::OtherType(_))) if timestamp.is_none() => {
                signature.filter(|value| value.hasattr("items").unwrap_or(false))
            }
            _ => headers,
        };
        match headers {
            Some(headers) => Ok(text::walk(headers, &self.admission)?.into_credentials()),
            None => Ok(Credentials::new(presented, text::header_value(timestamp))),
        }
    }

    /// Verifies a delivery. Reads a Python clock only to check a timestamp.
    fn check(&self, py: Python<'_>, received: &Received<'_>) -> PyResult<()> {
        self.at_now(py, |now| bindings::check(&self.verifier, received, now))
    }

    /// Reads the event of a body without verifying it. `payload` is the body, shared with Python and not copied.
    fn parse<'py>(&self, body: &Body<'py>, payload: Payload<'_>) -> PyResult<Bound<'py, PyAny>> {
        let py = body.bytes.py();
        let event = self.reader.parse(payload).map_err(|error| error::exception(py, Error::Payload(error)))?;
        event::object(&body.bytes, event)
    }

    /// Verifies a delivery, reads its event, and makes its replay key.
    fn guarded<'py>(
        &self,
        body: &Body<'py>,
        received: Received<'_>,
        rule: &pylon_webhooks::ReplayRule,
    ) -> PyResult<(Bound<'py, PyAny>, Option<ReplayKey>)> {
        let py = body.bytes.py();
        let verified = self.at_now(py, |now| match self.verifies {
            true => self.verifier.verify_received_at(received, now),
            false => Ok(bindings::believe(&self.verifier, received, now())),
        })?;
        let event = self.reader.read(verified).map_err(|error| error::exception(py, Error::Payload(error)))?;
        let key = rule.key(&event).map(|key| (key.key, key.expires));
        Ok((event::object(&body.bytes, event.into_inner())?, key))
    }

    /// Runs a check that may need the current time.
    fn at_now<T>(
        &self,
        py: Python<'_>,
        judge: impl FnOnce(&mut dyn FnMut() -> u64) -> Result<T, Error>,
    ) -> PyResult<T> {
        let mut clock_error = None;
        let judged = judge(&mut || match &self.clock {
            None => self.verifier.unix_seconds(),
            Some(clock) => clock::unix_seconds(clock.bind(py)).unwrap_or_else(|error| {
                clock_error = Some(error);
                0
            }),
        });
        match clock_error {
            // A failing clock is not the delivery's fault: raise the clock's own error.
            Some(error) => Err(error),
            None => judged.map_err(|error| error::exception(py, error)),
        }
    }
}

/// A request whose method and declared length are accepted. Its body can be read.
#[pyclass(frozen, module = "pylon_webhooks._native")]
pub(crate) struct Admitted {
    admitted: pylon_webhooks::Admitted,
    intake: Py<Intake>,
}

#[pymethods]
impl Admitted {
    /// The largest body that is accepted, in bytes.
    #[getter]
    fn body_limit(&self) -> usize {
        self.admitted.body_limit()
    }

    /// Why there is no body when reading it failed.
    fn broken(&self) -> RequestFault {
        RequestFault(self.admitted.broken())
    }

    /// Take the whole body, verify the delivery, and read its event. With a rule, also make its replay key.
    #[pyo3(signature = (body, rule = None))]
    fn receive<'py>(&self, body: &Bound<'py, PyAny>, rule: Option<&ReplayRule>) -> PyResult<Bound<'py, PyAny>> {
        let py = body.py();
        let body = text::body(body)?;
        let intake = self.intake.get();
        let received = match self.admitted.clone().whole(body.shared()) {
            Ok(received) => received,
            Err(fault) => return Ok(Bound::new(py, RequestFault(fault))?.into_any()),
        };
        let event_and_key = match rule {
            Some(rule) => intake.guarded(&body, received, &rule.0)?,
            None => {
                if intake.verifies {
                    intake.check(py, &received)?;
                }
                (intake.parse(&body, received.body().clone())?, None)
            }
        };
        Ok(event_and_key.into_pyobject(py)?.into_any())
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.intake)
    }
}
