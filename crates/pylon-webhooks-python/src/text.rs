//! What Python callers pass, as the bytes and texts that the core takes.

use crate::error;
use pylon_webhooks::{Credentials, EventKind, Gate, Presented};
use pyo3::exceptions::{PyException, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyByteArray, PyBytes, PyDict, PyFloat, PyInt, PyList, PyMemoryView, PyString, PyTuple};

/// The body's bytes: those of a `bytes` object as they are, those of a `bytearray` or `memoryview` copied.
///
/// # Errors
/// `PylonWebhookPayloadError` for anything else: text and parsed JSON no longer have the bytes that were signed.
pub(crate) fn payload<'py>(payload: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyBytes>> {
    let py = payload.py();
    if let Ok(bytes) = payload.cast_exact::<PyBytes>() {
        return Ok(bytes.clone());
    }
    if let Ok(bytes) = payload.cast::<PyBytes>() {
        // A subclass may hold what it likes besides, even the event made of it.
        return Ok(PyBytes::new(py, bytes.as_bytes()));
    }
    if payload.is_instance_of::<PyByteArray>() || payload.is_instance_of::<PyMemoryView>() {
        let copy = py.get_type::<PyBytes>().call1((payload,)).and_then(|copy| Ok(copy.cast_into::<PyBytes>()?));
        return copy.map_err(|_| match payload.is_instance_of::<PyMemoryView>() {
            true => error::not_bytes(py, "a released memoryview"),
            false => error::not_bytes(py, type_name(payload)),
        });
    }
    Err(error::not_bytes(py, type_name(payload)))
}

/// A secret's bytes: a text stands for its UTF-8.
pub(crate) fn secret(secret: &Bound<'_, PyAny>) -> PyResult<Vec<u8>> {
    if let Ok(text) = secret.cast::<PyString>() {
        // The error of the conversion would show the text.
        return text
            .to_str()
            .map(|text| text.as_bytes().to_vec())
            .map_err(|_| PyValueError::new_err("a secret is not text: expected characters that UTF-8 can encode"));
    }
    secret
        .cast::<PyBytes>()
        .map(|bytes| bytes.as_bytes().to_vec())
        .map_err(|_| PyTypeError::new_err(format!("a secret must be str or bytes, not {}", type_name(secret))))
}

/// The kind of this name.
pub(crate) fn kind(name: &str) -> PyResult<EventKind> {
    EventKind::from_name(name).ok_or_else(|| {
        let known: Vec<&str> = EventKind::ALL.iter().map(|kind| kind.name()).collect();
        PyValueError::new_err(format!("no typed event has this name; the names are {}", known.join(", ")))
    })
}

/// A header's text, as `str` or `bytes`.
pub(crate) enum HeaderText<'py> {
    Text(Bound<'py, PyString>),
    Bytes(Bound<'py, PyBytes>),
}

impl AsRef<[u8]> for HeaderText<'_> {
    fn as_ref(&self) -> &[u8] {
        match self {
            // Text that UTF-8 cannot encode is outside ASCII; so is this byte.
            Self::Text(text) => text.to_str().map_or(b"\xFF", str::as_bytes),
            Self::Bytes(bytes) => bytes.as_bytes(),
        }
    }
}

/// A header's value as one that was looked up: absent when `None`.
pub(crate) fn presented<'py>(value: Option<&Bound<'py, PyAny>>) -> Presented<HeaderText<'py>> {
    let Some(value) = value else {
        return Presented::Absent;
    };
    if let Ok(text) = value.cast::<PyString>() {
        Presented::Once(HeaderText::Text(text.clone()))
    } else if let Ok(bytes) = value.cast::<PyBytes>() {
        Presented::Once(HeaderText::Bytes(bytes.clone()))
    } else if value.is_none() {
        Presented::Absent
    } else {
        Presented::OtherType(type_name(value))
    }
}

/// The signature and timestamp among a request's headers: a mapping, or pairs of name and value.
///
/// # Errors
/// Only what no `except Exception` catches, such as an interrupt.
pub(crate) fn credentials<'py>(
    headers: &Bound<'py, PyAny>,
    header_names: (&str, &str),
) -> PyResult<Credentials<HeaderText<'py>>> {
    let mut credentials = Credentials::new(None, None);
    match each_header(headers, |name, value| add(&mut credentials, header_names, name, value)) {
        Ok(()) => Ok(credentials),
        // Whatever the object did when it was asked for its items, it has shown no signature.
        Err(error) if error.is_instance_of::<PyException>(headers.py()) => {
            Ok(Credentials::new(Presented::OtherType(type_name(headers)), Presented::Absent))
        }
        Err(error) => Err(error),
    }
}

/// What the headers declare as the body's length, in bytes; none where a transfer encoding overrides it (RFC 9112, section 6.3).
///
/// # Errors
/// Only what no `except Exception` catches, such as an interrupt.
pub(crate) fn content_length(headers: &Bound<'_, PyAny>) -> PyResult<Option<u64>> {
    let mut length = None;
    let mut is_chunked = false;
    let found = each_header(headers, |name, value| {
        is_chunked |= name.eq_ignore_ascii_case("transfer-encoding");
        if name.eq_ignore_ascii_case("content-length") {
            length = match presented(Some(value)) {
                Presented::Once(text) => Gate::content_length(text.as_ref()),
                _ => None,
            };
        }
    });
    match found {
        Err(error) if !error.is_instance_of::<PyException>(headers.py()) => Err(error),
        _ => Ok(length.filter(|_| !is_chunked)),
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
    let Presented::Once(name) = presented(Some(name)) else {
        return Ok(());
    };
    let Ok(name) = std::str::from_utf8(name.as_ref()) else {
        return Ok(());
    };
    // AWS gives a list of values for each name; each counts. Exact types alone: others could run code of their own, and change
    // the headers, while these are read.
    if value.is_exact_instance_of::<PyList>() || value.is_exact_instance_of::<PyTuple>() {
        for value in value.try_iter()? {
            visit(name, &value?);
        }
    } else {
        visit(name, value);
    }
    Ok(())
}

fn add<'py>(
    credentials: &mut Credentials<HeaderText<'py>>,
    header_names: (&str, &str),
    name: &str,
    value: &Bound<'py, PyAny>,
) {
    if !value.is_none() {
        credentials.add(header_names, name, presented(Some(value)));
    }
}

/// What a value is, for an error that must not show it.
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
