//! Several interpreters in one process, as mod_wsgi and uWSGI have them for several apps. The classes here are shared by all.

use pyo3::exceptions::PyImportError;
use pyo3::prelude::*;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The builtins of the interpreter that loaded the module first; each interpreter has its own.
static FIRST: AtomicUsize = AtomicUsize::new(0);

/// Refuses to be loaded by a second interpreter where interpreters cannot share classes.
///
/// From Python 3.12 on, each interpreter numbers the versions of its classes itself, and caches attributes by these numbers. A
/// class of another interpreter may have the number of one of its own, and its attributes are then taken for those of that one.
///
/// # Errors
/// `ImportError`.
pub(crate) fn check(py: Python<'_>) -> PyResult<()> {
    let this = py.import("builtins")?.as_ptr() as usize;
    let first = FIRST.compare_exchange(0, this, Ordering::AcqRel, Ordering::Acquire).unwrap_or_else(|first| first);
    if first == 0 || first == this || py.version_info() < (3, 12) {
        return Ok(());
    }
    Err(PyImportError::new_err(
        "pylon_webhooks is loaded by another interpreter of this process, and from Python 3.12 on one alone can have it: set \
         `WSGIApplicationGroup %{GLOBAL}` for mod_wsgi, or `single-interpreter = true` for uWSGI, or run each app in a \
         process of its own",
    ))
}
