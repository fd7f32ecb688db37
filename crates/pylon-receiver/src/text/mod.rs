//! Texts that people read and write: durations, sizes, URLs, and names in error messages.

mod name;
mod nats;
mod unit;
mod url;

pub use name::{nearest, one_of, quoted};
pub(crate) use nats::NATS_PORT;
pub use nats::parse_nats;
#[cfg(feature = "nats")]
pub(crate) use nats::userinfo;
pub use unit::{LONGEST_DURATION, parse_bytes, parse_duration, show_bytes, show_duration};
pub(crate) use url::URL;
pub use url::{parse_proxy, parse_url, url_fault};
