//! The event classes: frozen views of the core's event, one class for each of its types.

use crate::error;
use crate::problem::Problem;
use crate::text;
use crate::value;
use pylon_webhooks::{EventKind, EventType, bindings};
use pyo3::exceptions::{PyAttributeError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::pyclass::CompareOp;
use pyo3::types::{PyBytes, PyDict, PyString, PyTuple, PyType};
use std::borrow::Cow;

/// Any event: the exact bytes, the event's name and kind, and its fields, each decoded when it is read.
#[pyclass(frozen, subclass, module = "pylon_webhooks.events")]
pub(crate) struct WebhookEvent {
    event: pylon_webhooks::WebhookEvent,
    raw: Py<PyBytes>,
}

impl WebhookEvent {
    pub(crate) fn core(&self) -> &pylon_webhooks::WebhookEvent {
        &self.event
    }

    fn of(raw: &Bound<'_, PyBytes>, event: pylon_webhooks::WebhookEvent) -> Self {
        Self { event, raw: raw.clone().unbind() }
    }

    fn initializer(event: Self) -> PyClassInitializer<Self> {
        event.into()
    }
}

#[pymethods]
impl WebhookEvent {
    #[new]
    #[pyo3(signature = (**fields))]
    fn new(py: Python<'_>, fields: Option<&Bound<'_, PyDict>>) -> PyResult<Self> {
        build(py, "WebhookEvent", None, pylon_webhooks::WebhookEvent::accepts, fields)
    }

    /// Event's name as it was sent, or as configured; empty when the body has none.
    #[getter]
    fn event_type(&self) -> &str {
        self.event.event_type()
    }

    /// Name of the kind that the event is taken for; None for an unknown event.
    #[getter]
    fn kind(&self) -> Option<&'static str> {
        self.event.kind().map(EventKind::name)
    }

    /// Body, byte for byte.
    #[getter]
    fn raw(&self, py: Python<'_>) -> Py<PyBytes> {
        self.raw.clone_ref(py)
    }

    /// Body as JSON, parsed on each access: one handler's changes are invisible to the others.
    #[getter]
    fn payload<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        loads(py, &self.event.json())
    }

    /// Custom fields by slug.
    #[getter]
    fn custom_fields<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let fields = PyDict::new(py);
        for (slug, json) in bindings::custom_fields_json(&self.event) {
            fields.set_item(slug, loads(py, &json)?)?;
        }
        Ok(fields)
    }

    /// Keys and values that no typed field uses.
    #[getter]
    fn extra<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let extra = PyDict::new(py);
        for (key, json) in bindings::extra_json(&self.event) {
            extra.set_item(key, loads(py, &json)?)?;
        }
        Ok(extra)
    }

    /// Fields without a typed value, and what was repaired in the body.
    #[getter]
    fn problems(&self) -> Vec<Problem> {
        self.event.problems().into_iter().map(Problem::from).collect()
    }

    /// Text of a field before typing, empty when there is none. Takes a field's name or any key.
    fn text<'py>(&self, name: &Bound<'py, PyString>) -> Bound<'py, PyString> {
        // No key of a body is text that UTF-8 cannot encode.
        let text = name.to_str().map_or(Cow::Borrowed(""), |name| self.event.text(name));
        PyString::new(name.py(), &text)
    }

    /// Whether the event has this name, or is of the kind with this name.
    fn is_named(&self, name: &Bound<'_, PyString>) -> bool {
        name.to_str().is_ok_and(|name| self.event.is_named(name))
    }

    /// Typed fields, custom fields and all other keys as a dict; mode "json" has date-times as text.
    #[pyo3(signature = (*, mode = "python"))]
    fn model_dump<'py>(&self, py: Python<'py>, mode: &str) -> PyResult<Bound<'py, PyDict>> {
        let as_text = match mode {
            "python" => false,
            "json" => true,
            _ => return Err(PyValueError::new_err("mode must be \"python\" or \"json\"")),
        };
        let dump = PyDict::new(py);
        dump.set_item("event_type", self.event.event_type())?;
        for field in self.event.fields() {
            let value = match self.event.read(field) {
                Ok(pylon_webhooks::FieldValue::DateTime(time)) if as_text => {
                    PyString::new(py, &time.to_string()).into_any()
                }
                _ => value::read(py, &self.event, field)?,
            };
            dump.set_item(field.name, value)?;
        }
        for (slug, json) in bindings::custom_fields_json(&self.event) {
            dump.set_item(format!("{CUSTOM_FIELD}{slug}"), loads(py, &json)?)?;
        }
        for (key, json) in bindings::extra_json(&self.event) {
            if !dump.contains(&key)? {
                dump.set_item(key, loads(py, &json)?)?;
            }
        }
        Ok(dump)
    }

    /// The result of model_dump(mode="json") as JSON text.
    fn model_dump_json<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        helper(py, "dumps")?.call1((self.model_dump(py, "json")?,))
    }

    /// An event of this class from a dict of fields, or the event itself when it is one already.
    #[classmethod]
    fn model_validate<'py>(class: &Bound<'py, PyType>, value: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        if value.is_instance(class)? {
            return Ok(value.clone());
        }
        let Ok(fields) = value.cast::<PyDict>() else {
            return Err(not_fields(class, value));
        };
        if fields.keys().iter().any(|key| !key.is_instance_of::<PyString>()) {
            return Err(PyValueError::new_err("expected a dict whose keys are str, found other keys"));
        }
        let raw = encode(fields).map_err(|error| match error.is_instance_of::<PyTypeError>(class.py()) {
            // Pydantic takes a ValueError for a value that does not fit, and a TypeError for a fault of the validator.
            true => PyValueError::new_err(error.value(class.py()).to_string()),
            false => error,
        })?;
        fit(class, &raw, || Ok(fields.clone()))
    }

    /// An event of this class from a JSON body.
    #[classmethod]
    fn model_validate_json<'py>(class: &Bound<'py, PyType>, body: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let py = class.py();
        let raw = text::body(body)?.bytes;
        fit(class, &raw, || {
            let payload = loads(py, &read(py, &raw)?.json())?;
            payload.cast_into::<PyDict>().map_err(|error| not_fields(class, &error.into_inner()))
        })
    }

    #[classmethod]
    #[pyo3(signature = (source, handler, /))]
    fn __get_pydantic_core_schema__<'py>(
        class: &Bound<'py, PyType>,
        source: &Bound<'py, PyAny>,
        handler: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        late(class.py(), "pydantic")?.getattr("core_schema")?.call1((class, source, handler))
    }

    #[classmethod]
    #[pyo3(signature = (schema, handler, /))]
    fn __get_pydantic_json_schema__<'py>(
        class: &Bound<'py, PyType>,
        schema: &Bound<'py, PyAny>,
        handler: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        late(class.py(), "pydantic")?.getattr("json_schema")?.call1((class, schema, handler))
    }

    fn __getattr__<'py>(&self, name: &Bound<'py, PyString>) -> PyResult<Bound<'py, PyAny>> {
        let py = name.py();
        let name = name.to_str().unwrap_or("text that UTF-8 cannot encode");
        match name.strip_prefix(CUSTOM_FIELD) {
            // A missing custom field reads as one without a value.
            Some(slug) => {
                let fields = bindings::custom_fields_json(&self.event);
                match fields.iter().rev().find(|(found, _)| found == slug) {
                    Some((_, json)) => loads(py, json),
                    None => Ok(py.None().into_bound(py)),
                }
            }
            None => Err(PyAttributeError::new_err(format!(
                "no field {name:?} of this kind of event; keys of your own are in `extra` and `payload`"
            ))),
        }
    }

    fn __repr__(slf: &Bound<'_, Self>) -> PyResult<String> {
        let event = &slf.get().event;
        let class = slf.get_type();
        let name = class.name()?;
        // The template's author chooses the name, and a log must not show a whole body.
        let shown = |text: &str| {
            let end = text.char_indices().nth(MOST_SHOWN).map(|(end, _)| end);
            let shown = end.map_or_else(|| text.to_owned(), |end| format!("{}…", &text[..end]));
            PyString::new(slf.py(), &shown).repr().map(|text| text.to_string())
        };
        let event_type = shown(event.event_type())?;
        let identifier = match event.kind() {
            Some(_) => format!(" issue_id={}", shown(&event.text("issue_id"))?),
            None => String::new(),
        };
        Ok(format!("<{name} event_type={event_type}{identifier}, {} bytes>", event.raw().len()))
    }

    fn __richcmp__(slf: &Bound<'_, Self>, other: &Bound<'_, PyAny>, operator: CompareOp) -> PyResult<Py<PyAny>> {
        let py = slf.py();
        let Ok(event) = other.cast::<Self>() else {
            return Ok(py.NotImplemented());
        };
        let is_equal = slf.get_type().is(other.get_type()) && event.get().event == slf.get().event;
        match operator {
            CompareOp::Eq => Ok(is_equal.into_pyobject(py)?.to_owned().into_any().unbind()),
            CompareOp::Ne => Ok((!is_equal).into_pyobject(py)?.to_owned().into_any().unbind()),
            _ => Ok(py.NotImplemented()),
        }
    }

    fn __hash__(&self, py: Python<'_>) -> PyResult<isize> {
        self.raw.bind(py).hash()
    }

    fn __copy__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __deepcopy__<'py>(slf: Bound<'py, Self>, _memo: &Bound<'py, PyAny>) -> Bound<'py, Self> {
        slf
    }

    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyTuple>> {
        let (py, event) = (slf.py(), slf.get());
        let rebuild = py.import("pylon_webhooks._native")?.getattr("rebuild_event")?;
        let parts = (event.raw(py), event.event_type(), event.kind(), slf.get_type());
        (rebuild, parts).into_pyobject(py)
    }
}

/// Rebuilds an event from its bytes, name, kind and class. Unpickling calls it.
#[pyfunction]
pub(crate) fn rebuild_event<'py>(
    raw: &Bound<'py, PyBytes>,
    event_type: &str,
    kind: Option<&str>,
    class: &Bound<'py, PyType>,
) -> PyResult<Bound<'py, PyAny>> {
    let kind = kind.map(text::kind).transpose()?;
    let event = pylon_webhooks::WebhookEvent::from_stored(raw.as_bytes(), event_type, kind);
    let event = object(raw, event.map_err(|error| error::unreadable(raw.py(), &error))?)?;
    if event.get_type().is(class) {
        return Ok(event);
    }
    // A base class or a user's class: it was made from keywords, and is made so again.
    class.call((), Some(event.getattr("payload")?.cast::<PyDict>()?))
}

/// Read an event from a body. Checks no signature.
#[pyfunction]
pub(crate) fn parse_webhook_event<'py>(payload: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let py = payload.py();
    let raw = match payload.cast::<PyDict>() {
        // py-usepylon-sdk takes a dict here. Nothing is verified, so the exact bytes do not matter.
        Ok(fields) => encode(fields)?,
        Err(_) => text::body(payload)?.bytes,
    };
    object(&raw, read(py, &raw)?)
}

/// Declares an event class below another one, for the events of the core's type with the same name.
macro_rules! class {
    ($(#[doc = $doc:literal])+ $name:ident($parent:ident), $kind:expr) => {
        $(#[doc = $doc])+
        #[pyclass(frozen, subclass, extends = $parent, module = "pylon_webhooks.events")]
        pub(crate) struct $name;

        impl $name {
            fn initializer(event: WebhookEvent) -> PyClassInitializer<Self> {
                $parent::initializer(event).add_subclass(Self)
            }
        }

        #[pymethods]
        impl $name {
            #[new]
            #[pyo3(signature = (**fields))]
            fn new(py: Python<'_>, fields: Option<&Bound<'_, PyDict>>) -> PyResult<PyClassInitializer<Self>> {
                let accepts = <pylon_webhooks::$name as EventType>::accepts;
                build(py, stringify!($name), $kind, accepts, fields).map(Self::initializer)
            }
        }
    };
}

class! {
    /// Any issue event, messages included.
    BaseIssueEvent(WebhookEvent), None
}
class! {
    /// Any issue event except a message, with the issue's state at that time.
    IssueSnapshotEvent(BaseIssueEvent), None
}
class! {
    /// A new issue was created: issue_new.
    IssueNewEvent(IssueSnapshotEvent), Some(EventKind::IssueNew)
}
class! {
    /// An issue was assigned: issue_assigned.
    IssueAssignedEvent(IssueSnapshotEvent), Some(EventKind::IssueAssigned)
}
class! {
    /// An issue's state changed: issue_status_changed.
    IssueStateChangedEvent(IssueSnapshotEvent), Some(EventKind::IssueStatusChanged)
}
class! {
    /// A field of an issue changed: issue_field_changed.
    IssueFieldChangedEvent(IssueSnapshotEvent), Some(EventKind::IssueFieldChanged)
}
class! {
    /// An issue's tags changed: issue_tags_changed.
    IssueTagsChangedEvent(IssueSnapshotEvent), Some(EventKind::IssueTagsChanged)
}
class! {
    /// Somebody reacted to an issue: issue_reaction.
    IssueReactionEvent(IssueSnapshotEvent), Some(EventKind::IssueReaction)
}
class! {
    /// A new message came in on an issue: issue_message_new.
    MessageNewEvent(BaseIssueEvent), Some(EventKind::IssueMessageNew)
}
class! {
    /// An event of no known kind.
    UnknownEvent(WebhookEvent), None
}

/// The event as an instance of its most specific class.
pub(crate) fn object<'py>(
    raw: &Bound<'py, PyBytes>,
    event: pylon_webhooks::WebhookEvent,
) -> PyResult<Bound<'py, PyAny>> {
    let py = raw.py();
    let kind = event.kind();
    let event = WebhookEvent::of(raw, event);
    macro_rules! instance {
        ($class:ident) => {
            Bound::new(py, $class::initializer(event))?.into_any()
        };
    }
    Ok(match kind {
        Some(EventKind::IssueNew) => instance!(IssueNewEvent),
        Some(EventKind::IssueAssigned) => instance!(IssueAssignedEvent),
        Some(EventKind::IssueStatusChanged) => instance!(IssueStateChangedEvent),
        Some(EventKind::IssueFieldChanged) => instance!(IssueFieldChangedEvent),
        Some(EventKind::IssueTagsChanged) => instance!(IssueTagsChangedEvent),
        Some(EventKind::IssueReaction) => instance!(IssueReactionEvent),
        Some(EventKind::IssueMessageNew) => instance!(MessageNewEvent),
        // A kind that only the core knows has no class here.
        _ => instance!(UnknownEvent),
    })
}

/// Makes an event from keywords, for a constructor.
fn build(
    py: Python<'_>,
    class: &str,
    kind: Option<EventKind>,
    accepts: fn(&pylon_webhooks::WebhookEvent) -> bool,
    fields: Option<&Bound<'_, PyDict>>,
) -> PyResult<WebhookEvent> {
    let body = PyDict::new(py);
    if let Some(kind) = kind {
        body.set_item("event_type", kind.name())?;
    }
    if let Some(fields) = fields {
        body.update(fields.as_mapping())?;
    }
    let encoded = encode(&body)?;
    let event = read(py, &encoded)?;
    // The caller may have mapped an unknown name to this class.
    let event = match (event.kind(), kind) {
        (None, Some(_)) => {
            let name = event.event_type().to_owned();
            pylon_webhooks::WebhookEvent::from_stored(encoded.as_bytes(), &name, kind)
                .map_err(|error| error::unreadable(py, &error))?
        }
        _ => event,
    };
    if accepts(&event) {
        return Ok(WebhookEvent::of(&encoded, event));
    }
    let found = event.kind().map_or("no typed event", EventKind::name);
    Err(PyValueError::new_err(format!("{class} cannot be made: event_type names {found}")))
}

fn read(py: Python<'_>, raw: &Bound<'_, PyBytes>) -> PyResult<pylon_webhooks::WebhookEvent> {
    pylon_webhooks::parse_webhook_event(raw.as_bytes()).map_err(|error| error::unreadable(py, &error))
}

/// The event as its most specific class, if that is a subclass; otherwise the class makes one from the fields.
fn fit<'py>(
    class: &Bound<'py, PyType>,
    raw: &Bound<'py, PyBytes>,
    fields: impl FnOnce() -> PyResult<Bound<'py, PyDict>>,
) -> PyResult<Bound<'py, PyAny>> {
    let event = object(raw, read(raw.py(), raw)?)?;
    if event.is_instance(class)? {
        return Ok(event);
    }
    class.call((), Some(&fields()?))
}

fn not_fields(class: &Bound<'_, PyType>, found: &Bound<'_, PyAny>) -> PyErr {
    let found = text::type_name(found);
    class.name().map_or_else(
        |error| error,
        |name| PyValueError::new_err(format!("expected a dict of fields or an instance of {name}, found {found}")),
    )
}

/// The body that holds these fields.
fn encode<'py>(fields: &Bound<'py, PyDict>) -> PyResult<Bound<'py, PyBytes>> {
    Ok(helper(fields.py(), "encode")?.call1((fields,))?.cast_into::<PyBytes>()?)
}

/// A function of the Python module that handles JSON.
fn helper<'py>(py: Python<'py>, name: &str) -> PyResult<Bound<'py, PyAny>> {
    late(py, "json")?.getattr(name)
}

/// A Python module that is loaded when it is first needed.
fn late<'py>(py: Python<'py>, name: &str) -> PyResult<Bound<'py, PyAny>> {
    py.import("pylon_webhooks._late")?.call_method0(name)
}

fn loads<'py>(py: Python<'py>, json: &str) -> PyResult<Bound<'py, PyAny>> {
    helper(py, "loads")?.call1((json,))
}

/// Prefix of a custom field's attribute, before the slug.
const CUSTOM_FIELD: &str = "issue_custom_field_";
/// Most characters of a name or identifier that `repr` shows.
const MOST_SHOWN: usize = 80;
