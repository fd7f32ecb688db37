//! Ids of events and deliveries.

use crate::time::Moment;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::str::FromStr;
use uuid::Uuid;

/// The id of an event: a UUID of version 7 (RFC 9562), so ids sort by time of arrival.
///
/// An event keeps its id on every delivery and in every ledger.
///
/// ```
/// use pylon_receiver::{EventId, Moment};
///
/// let id = EventId::new(Moment::from_unix_milliseconds(1_700_000_000_000), [7; 10]);
/// assert_eq!(id.to_string().parse(), Ok(id));
/// assert_eq!(id.received_at().unix_milliseconds(), 1_700_000_000_000);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventId(Uuid);

impl EventId {
    /// The id of an event that arrived at this moment; the ten bytes are random.
    pub fn new(received_at: Moment, random: [u8; 10]) -> Self {
        // The field has 48 bits and no sign.
        let milliseconds = u64::try_from(received_at.unix_milliseconds()).unwrap_or(0);
        Self(uuid::Builder::from_unix_timestamp_millis(milliseconds, &random).into_uuid())
    }

    /// The moment of arrival, to the millisecond.
    pub fn received_at(self) -> Moment {
        let [a, b, c, d, e, f, ..] = *self.0.as_bytes();
        Moment::from_unix_milliseconds(i64::from_be_bytes([0, 0, a, b, c, d, e, f]))
    }

    /// The lowest id of an event that arrived at this moment.
    pub fn first_at(moment: Moment) -> Self {
        Self::new(moment, [0; 10])
    }

    /// The sixteen bytes of the id.
    pub fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }

    /// The id with these sixteen bytes.
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(Uuid::from_bytes(bytes))
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

impl fmt::Debug for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for EventId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected =
            || "expected an event id such as 019aaf3c-9f10-7aa0-8000-0123456789ab, found something else".to_owned();
        Uuid::try_parse(text).map(Self).map_err(|_| expected())
    }
}

/// The beginning or the end of an event's id: 4 to 31 hexadecimal digits, hyphens aside.
///
/// The beginning is the time of arrival, which events of one minute share. The end is random: a few digits of it suffice.
///
/// ```
/// use pylon_receiver::{EventId, PartOfId};
///
/// let id: EventId = "019aaf3c-9f10-7aa0-8000-0123456789ab".parse()?;
/// let matches = |part: &str| part.parse::<PartOfId>().is_ok_and(|part| part.matches(id));
/// assert!(matches("019aaf3c-9f") && matches("89AB"));
/// assert!(!matches("9f10") && !matches("9ab"));
/// # Ok::<(), String>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PartOfId(Box<str>);

impl PartOfId {
    /// Whether the id begins or ends like this.
    pub fn matches(&self, id: EventId) -> bool {
        let id = id.0.simple().to_string();
        id.starts_with(&*self.0) || id.ends_with(&*self.0)
    }

    /// The digits, in lower case and without hyphens.
    pub fn digits(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PartOfId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for PartOfId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let digits: String =
            text.chars().filter(|&digit| digit != '-').map(|digit| digit.to_ascii_lowercase()).collect();
        let is_part = (4..32).contains(&digits.len()) && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        is_part.then(|| Self(digits.into())).ok_or_else(|| {
            "expected 4 to 31 hexadecimal digits, the beginning or the end of an event id; found something else"
                .to_owned()
        })
    }
}

/// The id of a delivery: the event's id, a full stop, and a number that counts the event's deliveries from 1.
///
/// ```
/// use pylon_receiver::DeliveryId;
///
/// let id: DeliveryId = "019aaf3c-9f10-7aa0-8000-0123456789ab.2".parse()?;
/// assert_eq!(id.number, 2);
/// # Ok::<(), String>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeliveryId {
    /// The id of the event.
    pub event: EventId,
    /// The number of the delivery, from 1.
    pub number: u32,
}

impl fmt::Display for DeliveryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.event, self.number)
    }
}

impl FromStr for DeliveryId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected =
            || "expected a delivery id such as 019aaf3c-9f10-7aa0-8000-0123456789ab.1, found something else".to_owned();
        let (event, number) = text.rsplit_once('.').ok_or_else(expected)?;
        let number = number.parse().map_err(|_| expected())?;
        Ok(Self { event: event.parse().map_err(|_| expected())?, number })
    }
}

/// In JSON, all are texts.
macro_rules! as_text {
    ($($name:ty),*) => {$(
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }
    )*};
}
as_text!(EventId, DeliveryId, PartOfId);
