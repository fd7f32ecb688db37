//! The headers of an HTTP delivery.
//!
//! The original headers go out, except those that are not true of this request: those for one connection or exchange only, an
//! encoding of the body, and `x-receiver-*`, which a sender could forge. These follow, in this order; each replaces headers of the
//! same name, and of names that CGI and WSGI servers take for it:
//!
//! | header | value |
//! | --- | --- |
//! | `X-Receiver-Event-Id` | the event's id, the same on every attempt and every delivery: apps deduplicate by it |
//! | `X-Receiver-Attempt` | the number of the attempt, from 1 |
//! | `X-Receiver-Endpoint` | the name of the endpoint that received the event |
//! | `X-Receiver-Name` | the event's name as it was sent |
//! | `X-Receiver-Kind` | the known kind that the event is taken for |
//! | `X-Receiver-Passed` | the ids that the event had at earlier receivers |
//! | `X-Receiver-Redelivery-Of` | on an operator's redelivery: the id of the delivery that this one repeats |
//! | `X-Receiver-Dropped-Headers` | how many original headers were dropped because they were too many or too long |
//! | the configured headers | as configured |
//! | the signature's headers | as configured |
//!
//! Name and endpoint are left out if they are empty, longer than 256 bytes, or anything but visible ASCII with spaces in between: the
//! name is text from the body, and no header can hold such text unchanged. The kind is left out if it is not known. `Accept: */*` is
//! added if there is no `Accept`.

use super::attempt::Attempt;
use super::signing::Signer;
use crate::config::{HttpTransport, SecretFault, SecretSource};
use crate::headers::{
    DROPPED, EVENT_ID, OWN_PREFIX, PASSED, are_twins, is_hop_by_hop, is_named_by_connection, is_of_encoding,
    is_of_one_exchange,
};
use crate::id::DeliveryId;
use http::header::{CONNECTION, CONTENT_LENGTH, HOST};
use http::{HeaderMap, HeaderName, HeaderValue};

const ATTEMPT: HeaderName = HeaderName::from_static("x-receiver-attempt");
const ENDPOINT: HeaderName = HeaderName::from_static("x-receiver-endpoint");
const NAME: HeaderName = HeaderName::from_static("x-receiver-name");
const KIND: HeaderName = HeaderName::from_static("x-receiver-kind");
const REDELIVERY_OF: HeaderName = HeaderName::from_static("x-receiver-redelivery-of");

/// The longest text that goes into a header, in bytes.
const LONGEST_TEXT: usize = 256;

/// The headers that a destination's deliveries have in common, and their signer.
pub(super) struct Outgoing {
    configured: Vec<(HeaderName, HeaderValue)>,
    signer: Signer,
}

impl Outgoing {
    /// Reads the secrets. Configured headers for one connection only are not sent, except `host`.
    pub(super) fn new(config: &HttpTransport) -> Result<Self, SecretFault> {
        let sent = config.headers.iter().filter(|(name, _)| !is_of_one_message(name.as_str()) || name == HOST);
        let configured = sent.map(|(name, source)| Ok((name.clone(), secret_value(source)?)));
        Ok(Self { configured: configured.collect::<Result<_, _>>()?, signer: Signer::new(&config.signing)? })
    }

    /// The headers of an attempt.
    pub(super) fn headers(&self, attempt: &Attempt) -> HeaderMap {
        let mut headers = of_event(attempt);
        self.remove_what_is_replaced(&mut headers);
        for (name, value) in &self.configured {
            headers.append(name, value.clone());
        }
        self.signer.sign(&mut headers, attempt);
        // Without a length, an empty body looks like no body, and some servers answer 411.
        headers.insert(CONTENT_LENGTH, attempt.body.len().into());
        headers
    }

    fn remove_what_is_replaced(&self, headers: &mut HeaderMap) {
        for (name, _) in &self.configured {
            headers.remove(name);
        }
        let own = || self.configured.iter().map(|(name, _)| name).chain(self.signer.headers());
        // Few headers have names with anything but letters, digits and `-`; a configured one may.
        let is_twin = |name: &&HeaderName| own().any(|own| are_twins(own, name));
        let twins: Vec<HeaderName> = headers.keys().filter(is_twin).cloned().collect();
        for name in twins {
            headers.remove(name);
        }
    }
}

/// The original headers that travel, and those that say which event and attempt this is.
pub(super) fn of_event(attempt: &Attempt) -> HeaderMap {
    let mut headers = attempt.headers.to_map();
    remove_what_does_not_travel(&mut headers);
    headers.insert(EVENT_ID, ascii(attempt.event().to_string()));
    headers.insert(ATTEMPT, attempt.number.into());
    for (name, text) in [(ENDPOINT, &*attempt.endpoint), (NAME, &*attempt.name)] {
        if let Some(value) = plain(text) {
            headers.insert(name, value);
        }
    }
    if let Some(kind) = attempt.kind {
        headers.insert(KIND, HeaderValue::from_static(kind.name()));
    }
    if let Some(number) = attempt.redelivery_of {
        headers.insert(REDELIVERY_OF, ascii(DeliveryId { number, ..attempt.delivery }.to_string()));
    }
    headers
}

/// A value that is shown nowhere.
fn secret_value(source: &SecretSource) -> Result<HeaderValue, SecretFault> {
    let mut value = HeaderValue::from_bytes(&source.read()?)
        .map_err(|_| SecretFault::Malformed("the value of a header, without line ends and other control characters"))?;
    value.set_sensitive(true);
    Ok(value)
}

/// Whether the client makes the header anew for each connection or message.
fn is_of_one_message(name: &str) -> bool {
    is_hop_by_hop(name) || name == HOST || name == CONTENT_LENGTH
}

fn remove_what_does_not_travel(headers: &mut HeaderMap) {
    // Stored headers have no `Connection`, unless another program stored them: look it up once.
    let has_connection = headers.contains_key(CONNECTION);
    let leaves = |header: &&HeaderName| {
        let name = header.as_str();
        is_of_one_message(name)
            || is_of_one_exchange(name)
            // What is delivered was read as JSON.
            || is_of_encoding(name)
            || has_connection && is_named_by_connection(headers, header)
            // Only the receiver itself stores these two.
            || name.starts_with(OWN_PREFIX) && **header != DROPPED && **header != PASSED
    };
    let leaving: Vec<HeaderName> = headers.keys().filter(leaves).cloned().collect();
    for name in leaving {
        headers.remove(name);
    }
}

/// The text as a header's value, if a header can hold it unchanged.
fn plain(text: &str) -> Option<HeaderValue> {
    let is_plain = text.bytes().all(|byte| matches!(byte, b' '..=b'~')) && text.trim().len() == text.len();
    if text.is_empty() || text.len() > LONGEST_TEXT || !is_plain {
        return None;
    }
    HeaderValue::from_str(text).ok()
}

fn ascii(id: String) -> HeaderValue {
    HeaderValue::try_from(id).expect("ids are plain ASCII")
}
