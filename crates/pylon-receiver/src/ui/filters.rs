//! What templates write values with.
#![expect(unreachable_pub, reason = "the macro of askama makes public items of them")]

use super::text::{Block, Inline, visible};
use crate::text::show_duration;
use crate::time::Moment;
use askama::filters::Safe;
use askama::{Result, Values};
use jiff::Timestamp;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use std::time::Duration;

/// A stranger's text in a line.
#[askama::filter_fn]
pub(super) fn inline(text: impl AsRef<str>, _: &dyn Values) -> Result<Safe<String>> {
    Ok(Safe(Inline(text.as_ref()).to_string()))
}

/// A stranger's text where no element can stand: in a title or an attribute.
#[askama::filter_fn]
pub(super) fn plain(text: impl AsRef<str>, _: &dyn Values) -> Result<String> {
    Ok(visible(text.as_ref()))
}

/// A stranger's text in `<pre>`.
#[askama::filter_fn]
pub(super) fn block(text: impl AsRef<str>, _: &dyn Values) -> Result<Safe<String>> {
    Ok(Safe(Block(text.as_ref()).to_string()))
}

/// A moment in UTC, which the script shows in the zone that the reader wants.
#[askama::filter_fn]
pub(super) fn moment(moment: &Moment, _: &dyn Values) -> Result<Safe<String>> {
    let shown = match Timestamp::from_millisecond(moment.unix_milliseconds()) {
        Ok(timestamp) => timestamp.strftime("%Y-%m-%d %H:%M:%S").to_string(),
        Err(_) => moment.to_string(),
    };
    Ok(Safe(format!("<time datetime=\"{moment}\">{shown}</time>")))
}

/// A length of time in milliseconds.
#[askama::filter_fn]
pub(super) fn milliseconds(milliseconds: &u64, _: &dyn Values) -> Result<String> {
    Ok(match milliseconds {
        0..10_000 => format!("{milliseconds} ms"),
        _ => show_duration(Duration::from_secs(milliseconds / 1000)),
    })
}

/// A text as a part of a URL.
#[askama::filter_fn]
pub(super) fn in_url(text: impl AsRef<str>, _: &dyn Values) -> Result<Safe<String>> {
    Ok(Safe(utf8_percent_encode(text.as_ref(), NON_ALPHANUMERIC).to_string()))
}

/// A number with its thousands apart.
#[askama::filter_fn]
pub(super) fn count(number: &u64, _: &dyn Values) -> Result<String> {
    let digits = number.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    Ok(grouped)
}
