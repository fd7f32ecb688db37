//! Conditions that SQL cannot say, as functions of the connection; and an end to searches that take too long.

use crate::id::{EventId, PartOfId};
use crate::ledger::{BodyText, IssueSummary, Terms};
use pylon_webhooks::names_match;
use rusqlite::functions::FunctionFlags;
use rusqlite::{Connection, Error, ErrorCode, Result, ffi};
use std::cell::Cell;
use std::time::{Duration, Instant};

/// How long bodies may be searched for one page of a list: every body that the other conditions leave is looked into.
pub(super) const LONGEST: Duration = Duration::from_secs(30);

thread_local! {
    /// When the search of this thread has to end.
    static DEADLINE: Cell<Option<Instant>> = const { Cell::new(None) };
}

pub(super) fn add_functions(connection: &Connection) -> Result<()> {
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC;
    connection.create_scalar_function("names_match", 2, flags, |arguments| {
        Ok(names_match(arguments.get_raw(0).as_str()?, arguments.get_raw(1).as_str()?))
    })?;
    connection.create_scalar_function("body_contains", 2, flags, |arguments| {
        check_time()?;
        let text = arguments.get_or_create_aux(1, |text| Ok::<_, Error>(BodyText::new(text.as_str()?)))?;
        Ok(text.is_in(arguments.get_raw(0).as_blob()?))
    })?;
    connection.create_scalar_function("is_about_issue", 4, flags, |arguments| {
        check_time()?;
        let (body, name) = (arguments.get_raw(0).as_blob()?, arguments.get_raw(1).as_str()?);
        let kind = arguments.get_raw(2).as_str_or_null()?;
        let called = arguments.get_raw(3).as_str()?;
        Ok(IssueSummary::of(body, name, kind).is_some_and(|issue| issue.is_called(called)))
    })?;
    connection.create_scalar_function("has_term", 4, flags, |arguments| {
        check_time()?;
        let (body, name) = (arguments.get_raw(0).as_blob()?, arguments.get_raw(1).as_str()?);
        let kind = arguments.get_raw(2).as_str_or_null()?;
        Ok(Terms::of(body, name, kind).contain(arguments.get_raw(3).as_str()?))
    })?;
    connection.create_scalar_function("is_part_of_id", 2, flags, |arguments| {
        let id: EventId = arguments.get(0)?;
        Ok(arguments.get_raw(1).as_str()?.parse().is_ok_and(|part: PartOfId| part.matches(id)))
    })
}

/// Runs a query that fails when it searches bodies for longer than up to this moment.
pub(super) fn bounded_until<T>(until: Instant, query: impl FnOnce() -> Result<T>) -> Result<T> {
    DEADLINE.set(Some(until));
    let found = query();
    DEADLINE.set(None);
    found
}

/// The failure of a search that takes too long.
pub(super) fn too_long() -> Error {
    Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_INTERRUPT), None)
}

/// Whether a search took too long.
pub(super) fn is_too_long(error: &Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::OperationInterrupted)
}

fn check_time() -> Result<()> {
    match DEADLINE.get() {
        Some(deadline) if Instant::now() > deadline => Err(too_long()),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::LedgerError;

    #[test]
    fn a_search_that_takes_too_long_ends_and_says_so() {
        let connection = Connection::open_in_memory().unwrap();
        add_functions(&connection).unwrap();
        for search in [
            "body_contains(x'7b7d', '{')",
            "is_about_issue(x'7b2269737375655f6e756d626572223a317d', '', NULL, '1')",
            "has_term(x'7b2269737375655f6e756d626572223a317d', '', NULL, '1')",
        ] {
            let find = || connection.query_row(&format!("SELECT {search}"), [], |row| row.get::<_, bool>(0));
            assert_eq!(bounded_until(Instant::now() + LONGEST, find), Ok(true));
            let error = bounded_until(Instant::now(), || {
                std::thread::sleep(Duration::from_millis(1));
                find()
            });
            assert_eq!(error.map_err(LedgerError::from), Err(LedgerError::Slow));
            assert_eq!(
                bounded_until(Instant::now() + LONGEST, find),
                Ok(true),
                "the end of one search is not that of the next"
            );
        }
        let told = LedgerError::Slow.to_string();
        assert!(told.starts_with("the search took too long") && told.contains("since and until"), "{told}");
    }
}
