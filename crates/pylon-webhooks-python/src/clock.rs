//! A clock written in Python.

use crate::text;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyFloat;

/// Refuses a clock that cannot be called.
pub(crate) fn check(clock: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
    match clock.filter(|clock| !clock.is_callable()) {
        Some(clock) => Err(PyTypeError::new_err(format!("clock must be callable, not {}", text::type_name(clock)))),
        None => Ok(()),
    }
}

/// A clock's time in whole Unix seconds. A time before 1970 reads as 1970.
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
