//! Converts Python values to the bytes and texts that the core takes.

use crate::error;
use bytes::Bytes;
use pylon_webhooks::bindings::{self, HeaderValue, HeaderWalk};
use pylon_webhooks::{Admission, EventKind, Payload};
use pyo3::exceptions::{PyException, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::{PyByteArray, PyBytes, PyDict, PyFloat, PyInt, PyList, PyMemoryView, PyString, PyTuple};

/// A body as a caller has it.
pub(crate) struct Body<'py> {
    /// Its bytes.
    pub(crate) bytes: Bound<'py, PyBytes>,
    is_text: bool,
}

impl Body<'_> {
    /// The body as the core takes it.
    pub(crate) fn payload(&self) -> Payload<'_> {
        self.marked(self.bytes.as_bytes().into())
    }

    /// The same, shared with Python and not copied.
    pub(crate) fn shared(&self) -> Payload<'static> {
        self.marked(Bytes::from_owner(PyBackedBytes::from(self.bytes.clone())).into())
    }

    fn marked<'a>(&self, payload: Payload<'a>) -> Payload<'a> {
        if self.is_text { bindings::given_as_text(payload) } else { payload }
    }
}

/// The body's bytes: those of a `bytes` object as they are, those of a `bytearray` or `memoryview` copied, the UTF-8 of a `str`.
///
/// # Errors
/// `PylonWebhookPayloadError` for anything else: parsed JSON no longer has the bytes that were signed.
pub(crate) fn body<'py>(payload: &Bound<'py, PyAny>) -> PyResult<Body<'py>> {
    let py = payload.py();
    let of_bytes = |bytes| Ok(Body { bytes, is_text: false });
    if let Ok(bytes) = payload.cast_exact::<PyBytes>() {
        return of_bytes(bytes.clone());
    }
    if let Ok(bytes) = payload.cast::<PyBytes>() {
        // A subclass may hold other objects, even the event made from it.
        return of_bytes(PyBytes::new(py, bytes.as_bytes()));
    }
    if let Ok(text) = payload.cast::<PyString>() {
        // The error of the conversion would show the text.
        let text =
            text.to_str().map_err(|_| error::not_bytes(py, "a str with lone surrogates, which UTF-8 cannot encode"))?;
        return Ok(Body { bytes: PyBytes::new(py, text.as_bytes()), is_text: true });
    }
    if payload.is_instance_of::<PyByteArray>() || payload.is_instance_of::<PyMemoryView>() {
        let copy = py.get_type::<PyBytes>().call1((payload,)).and_then(|copy| Ok(copy.cast_into::<PyBytes>()?));
        return copy.map_or_else(|_| Err(not_bytes(payload)), of_bytes);
    }
    Err(error::not_bytes(py, type_name(payload)))
}

/// The error of a `bytearray` or `memoryview` that gives no bytes.
fn not_bytes(payload: &Bound<'_, PyAny>) -> PyErr {
    match payload.is_instance_of::<PyMemoryView>() {
        true => error::not_bytes(payload.py(), "a released memoryview"),
        false => error::not_bytes(payload.py(), type_name(payload)),
    }
}

/// A secret's bytes; text is encoded as UTF-8.
pub(crate) fn secret(secret: &Bound<'_, PyAny>) -> PyResult<Vec<u8>> {
    if let Ok(text) = secret.cast::<PyString>() {
        // The error of the conversion would show the text.
        return text
            .to_str()
            .map(|text| text.as_bytes().to_vec())
            .map_err(|_| PyValueError::new_err("a secret is not text: expected characters that UTF-8 can encode"));
    }
    secret.cast::<PyBytes>().map(|bytes| bytes.as_bytes().to_vec()).map_err(|_| not_a_secret(secret))
}

/// The error of a secret of another type. Of the value it shows nothing but the type's name.
fn not_a_secret(secret: &Bound<'_, PyAny>) -> PyErr {
    let class = secret.get_type();
    let name = class.name().map_or_else(|_| "another object".to_owned(), |name| name.to_string());
    let has = |attribute| class.hasattr(attribute).unwrap_or(false);
    // Such as Django's `lazystr` and `SimpleLazyObject`, and Werkzeug's `LocalProxy`: they have the methods of any object.
    let is_lazy = name.contains("Lazy") || name == "__proxy__" || name.ends_with("Proxy");
    let advice = if has("get_secret_value") {
        "; unwrap it: pass secret.get_secret_value()"
    } else if name.contains("Secret") {
        "; unwrap it: pass the text that it holds"
    } else if has("read") {
        "; pass what it holds: file.read().strip()"
    } else if has("keys") {
        "; pass one of its values"
    } else if has("decode") || has("tobytes") {
        "; pass bytes(secret)"
    } else if is_lazy || has("encode") {
        "; pass str(secret)"
    } else if has("__iter__") && !secret.is_instance_of::<PyList>() && !secret.is_instance_of::<PyTuple>() {
        "; pass several secrets in a list or tuple"
    } else if secret.is_none() {
        "; is the variable set?"
    } else {
        ""
    };
    let name = if secret.is_none() { "None" } else { &name };
    PyTypeError::new_err(format!("a secret must be str or bytes, not {name}{advice}"))
}

/// The kind of this name.
pub(crate) fn kind(name: &str) -> PyResult<EventKind> {
    EventKind::from_name(name).ok_or_else(|| {
        let known: Vec<&str> = EventKind::ALL.iter().map(|kind| kind.name()).collect();
        PyValueError::new_err(format!("no typed event has this name; the names are {}", known.join(", ")))
    })
}

/// A header's value; none for `None`.
pub(crate) fn header_value<'a>(value: Option<&'a Bound<'_, PyAny>>) -> Option<HeaderValue<'a>> {
    let value = value?;
    if let Ok(text) = value.cast::<PyString>() {
        // Text that UTF-8 cannot encode is not ASCII, and neither is this byte.
        Some(HeaderValue::Text(text.to_str().map_or(b"\xFF", str::as_bytes)))
    } else if let Ok(bytes) = value.cast::<PyBytes>() {
        Some(HeaderValue::Text(bytes.as_bytes()))
    } else if value.is_none() {
        None
    } else {
        Some(HeaderValue::OtherType(type_name(value)))
    }
}

/// Goes through a request's headers, a mapping or pairs of name and value.
///
/// # Errors
/// Only what no `except Exception` catches, such as an interrupt.
pub(crate) fn walk<'a>(headers: &Bound<'_, PyAny>, admission: &'a Admission) -> PyResult<HeaderWalk<'a>> {
    let mut walk = HeaderWalk::new(admission);
    let walked = each_header(headers, |name, value| {
        if let Some(value) = header_value(Some(value)) {
            walk.add(name, value);
        }
    });
    match walked {
        Ok(()) => Ok(walk),
        // An object that fails to give its items has no signature.
        Err(error) if error.is_instance_of::<PyException>(headers.py()) => {
            walk.spoil(type_name(headers));
            Ok(walk)
        }
        Err(error) => Err(error),
    }
}

/// Goes through headers: a mapping, or pairs of name and value.
fn each_header<'py>(headers: &Bound<'py, PyAny>, mut visit: impl FnMut(&str, &Bound<'py, PyAny>)) -> PyResult<()> {
    if let Ok(headers) = headers.cast_exact::<PyDict>() {
        return headers.iter().try_for_each(|(name, value)| visit_pair(&name, &value, &mut visit));
    }
    // Mappings have `items`, and so do the header classes of web frameworks, with every value of a repeated name.
    let pairs = match headers.call_method0("items") {
        Ok(pairs) => pairs,
        Err(error) if error.is_instance_of::<PyException>(headers.py()) => headers.clone(),
        Err(error) => return Err(error),
    };
    for pair in pairs.try_iter()? {
        let (name, value) = name_and_value(&pair?)?;
        visit_pair(&name, &value, &mut visit)?;
    }
    Ok(())
}

/// A pair of two; ASGI servers may give it as a list.
fn name_and_value<'py>(pair: &Bound<'py, PyAny>) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyAny>)> {
    match pair.cast::<PyList>() {
        Ok(pair) => pair.to_tuple().extract(),
        Err(_) => pair.extract(),
    }
}

fn visit_pair<'py>(
    name: &Bound<'py, PyAny>,
    value: &Bound<'py, PyAny>,
    visit: &mut impl FnMut(&str, &Bound<'py, PyAny>),
) -> PyResult<()> {
    let Some(HeaderValue::Text(name)) = header_value(Some(name)) else {
        return Ok(());
    };
    let Ok(name) = std::str::from_utf8(name) else {
        return Ok(());
    };
    // AWS gives a list of values for each name; each one counts. Only exact types: subclasses could run code that
    // changes the headers during the walk.
    if value.is_exact_instance_of::<PyList>() || value.is_exact_instance_of::<PyTuple>() {
        for value in value.try_iter()? {
            visit(name, &value?);
        }
    } else {
        visit(name, value);
    }
    Ok(())
}

/// A value's type, for an error that must not show the value.
pub(crate) fn type_name(value: &Bound<'_, PyAny>) -> &'static str {
    if value.is_none() {
        "None"
    } else if value.is_instance_of::<PyString>() {
        "str"
    } else if value.is_instance_of::<PyBytes>() {
        "bytes"
    } else if value.is_instance_of::<PyMemoryView>() {
        "memoryview"
    } else if value.is_instance_of::<PyDict>() {
        "dict"
    } else if value.is_instance_of::<PyList>() {
        "list"
    } else if value.is_instance_of::<PyTuple>() {
        "tuple"
    } else if value.is_instance_of::<PyInt>() {
        "int"
    } else if value.is_instance_of::<PyFloat>() {
        "float"
    } else {
        "another object"
    }
}
