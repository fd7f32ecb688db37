//! The terms of an event: what people know of it.

use pylon_webhooks::{EventKind, WebhookEvent};

/// The fields whose values are terms.
const FIELDS: [&str; 7] = [
    "issue_id",
    "issue_number",
    "message_id",
    "issue_requester_email",
    "issue_assignee_email",
    "issue_account_id",
    "issue_account_name",
];
/// Longer values (in bytes) are nobody's: an e-mail address has 254 at most (RFC 5321).
const LONGEST: usize = 256;

/// What an event is found by: the issue's id and number, the message's id, the e-mail addresses of requester and assignee, the account's
/// id and name, as far as its body says.
///
/// Terms are compared whole: 1042 is not 10420. Case, spaces around a term and a `#` in front of it do not count.
///
/// ```
/// use pylon_receiver::ledger::Terms;
///
/// let body = br#"{"event_type": "issue_new", "issue_number": 1042, "issue_requester_email": "Sam@example.com"}"#;
/// let terms = Terms::of(body, "issue_new", Some("issue_new"));
/// assert!(terms.contain("#1042") && terms.contain("SAM@EXAMPLE.COM"));
/// assert!(!terms.contain("104") && !terms.contain("example.com"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Terms(Vec<String>);

impl Terms {
    /// Reads the body of an event of this name and kind. A body that is no JSON object has no terms.
    pub fn of(body: &[u8], name: &str, kind: Option<&str>) -> Self {
        // Cheap to tell: only an object has fields.
        let start = body.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(body).trim_ascii_start();
        if !start.starts_with(b"{") {
            return Self::default();
        }
        let Ok(event) = WebhookEvent::from_stored(body, name, kind.and_then(EventKind::from_name)) else {
            return Self::default();
        };
        let mut terms: Vec<String> = FIELDS.iter().filter_map(|field| normalized(&event.text(field))).collect();
        terms.sort_unstable();
        terms.dedup();
        Self(terms)
    }

    /// Whether this is one of them.
    pub fn contain(&self, term: &str) -> bool {
        normalized(term).is_some_and(|term| self.0.binary_search(&term).is_ok())
    }

    /// The hash of each.
    pub(in crate::ledger) fn hashes(&self) -> Vec<i64> {
        self.0.iter().map(|term| hash(term)).collect()
    }
}

/// The hash of a text as a term; none: no event has it.
pub(in crate::ledger) fn hash_of(text: &str) -> Option<i64> {
    normalized(text).map(|term| hash(&term))
}

/// The text as terms are compared; none: it is no term. A placeholder that was not replaced is none.
fn normalized(text: &str) -> Option<String> {
    let text = text.trim();
    let text = text.strip_prefix('#').unwrap_or(text).trim_start();
    let is_term = !text.is_empty() && text.len() <= LONGEST && !text.contains("{{");
    is_term.then(|| text.to_lowercase())
}

/// FNV-1a of 64 bits, the same in every version and on every machine. Two terms of one hash do no harm: what the index finds is compared
/// with the event's body.
fn hash(term: &str) -> i64 {
    let hash = term
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    hash.cast_signed()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn terms(body: &str) -> Vec<String> {
        Terms::of(body.as_bytes(), "", None).0
    }

    #[test]
    fn what_people_know_of_an_event_is_a_term_and_nothing_else_is() {
        let flat = r##"{"event_type": "issue_message_new", "issue_id": "5B0C-1", "issue_number": "# 1042", "message_id": "M-7",
            "issue_requester_email": " Sam@Example.com", "issue_assignee_email": "kim@example.org", "issue_account_id": "acc_1",
            "issue_account_name": "Exämple \u00c4G", "issue_title": "Export fails", "issue_status": "new"}"##;
        let expected = ["1042", "5b0c-1", "acc_1", "exämple äg", "kim@example.org", "m-7", "sam@example.com"];
        assert_eq!(terms(flat), expected);
    }

    #[test]
    fn of_an_odd_body_the_terms_are_what_can_be_read() {
        let cases: [(&str, &[&str]); 10] = [
            (
                r#"{"data": {"issue": {"id": "I-1", "number": 7, "requester": {"email": "A@b.c"}}}}"#,
                &["7", "a@b.c", "i-1"],
            ),
            (r#"{"issue_number": 1970670598291982290}"#, &["1970670598291982290"]),
            (r#"{"ticket_number": "9", "requester": "ops@example.com"}"#, &["9", "ops@example.com"]),
            (r#"{"issue_id": "{{issue.id}}", "issue_number": " ", "issue_account_name": null}"#, &[]),
            (r#"{"issue_number": 12, "issue_id": "12"}"#, &["12"]),
            (r#"{"issue_number": ,"issue_id": "x"}"#, &["x"]),
            (r#"[{"issue_number": 12}]"#, &[]),
            ("12", &[]),
            ("not JSON", &[]),
            ("", &[]),
        ];
        for (body, expected) in cases {
            assert_eq!(terms(body), expected, "{body}");
        }
        let long = format!(r#"{{"issue_id": "{}", "issue_number": 1}}"#, "x".repeat(LONGEST + 1));
        assert_eq!(terms(&long), ["1"]);
    }

    #[test]
    fn the_hash_is_that_of_every_version() {
        // Test vectors of FNV (draft-eastlake-fnv).
        assert_eq!(hash("a").cast_unsigned(), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(hash("foobar").cast_unsigned(), 0x8594_4171_f739_67e8);
        assert_eq!(hash_of(" #1042 "), hash_of("1042"));
        assert_ne!(hash_of("1042"), hash_of("10420"));
        assert_eq!(hash_of(" # "), None);
    }
}
