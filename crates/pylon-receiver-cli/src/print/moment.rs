//! Times, for people.

use pylon_receiver::Moment;

/// A moment to the second, in UTC.
pub(crate) fn to_the_second(moment: Moment) -> String {
    let seconds = moment.unix_milliseconds().div_euclid(1000);
    Moment::from_unix_milliseconds(seconds.saturating_mul(1000)).to_string()
}

/// The same for a moment that may be missing: empty then.
pub(crate) fn or_none(moment: Option<Moment>) -> String {
    moment.map(to_the_second).unwrap_or_default()
}
