//! From what a request presents to what was verified: what each state lets through, and to which byte.

use pylon_webhooks::{
    Admission, Admitted, ArrivingBody, DEFAULT_BODY_LIMIT, EventKind, EventReader, Outcome, ReplayRule, RequestFault,
    Secret, Verifier, WebhookEvent, sign,
};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

const TOO_LARGE: RequestFault = RequestFault::TooLarge { limit: 1000 };
const NOW: u64 = 1_700_000_000;

fn admission() -> Admission {
    Admission::new().body_limit(1000)
}

/// A request that declares a length.
fn admit(method: &str, length: Option<u64>) -> Result<Admitted, RequestFault> {
    admission().admit(method, length.map(|length| ("Content-Length", length.to_string())))
}

fn declared(value: &[u8]) -> Option<u64> {
    Admission::new().body_limit(usize::MAX).admit("POST", [("Content-Length", value)]).unwrap().declared_length()
}

mod admitted {
    use super::*;

    #[test]
    fn a_declared_length_is_digits_and_nothing_else() {
        for (value, length) in
            [("0", 0), ("7", 7), ("007", 7), ("1048577", 1_048_577), ("18446744073709551615", u64::MAX)]
        {
            assert_eq!(declared(value.as_bytes()), Some(length), "{value}");
        }
        let malformed: [&[u8]; 19] = [
            b"",
            b" ",
            b"+5",
            b"-5",
            b"-0",
            b"5 ",
            b" 5",
            b"5\n",
            b"0x10",
            b"1e3",
            b"1.0",
            b"1_000",
            b"5, 5",
            b"5,5",
            b"five",
            "\u{0665}".as_bytes(),
            b"\xFF5",
            b"99999999999999999999",
            b"18446744073709551616",
        ];
        for value in malformed {
            assert_eq!(declared(value), None, "{value:?}");
        }
    }

    #[test]
    fn a_body_is_not_read_where_the_headers_say_that_it_is_no_delivery() {
        for (method, length, refused) in [
            ("POST", None, None),
            ("POST", Some(0), None),
            ("POST", Some(1), None),
            ("POST", Some(999), None),
            ("POST", Some(1000), None),
            ("POST", Some(1001), Some(TOO_LARGE)),
            ("POST", Some(u64::from(u32::MAX) + 1), Some(TOO_LARGE)),
            ("POST", Some(u64::MAX), Some(TOO_LARGE)),
            ("GET", None, Some(RequestFault::Method)),
            ("HEAD", Some(0), Some(RequestFault::Method)),
            ("PUT", None, None),
            ("PUT", Some(1000), None),
            ("PUT", Some(1001), Some(TOO_LARGE)),
            ("PATCH", Some(0), None),
            ("PATCH", Some(1001), Some(TOO_LARGE)),
            ("DELETE", None, Some(RequestFault::Method)),
            ("DELETE", Some(1), Some(RequestFault::Method)),
            ("QUERY", Some(1), Some(RequestFault::Method)),
            ("OPTIONS", Some(u64::MAX), Some(RequestFault::Method)),
            ("post", None, Some(RequestFault::Method)),
            ("Post", None, Some(RequestFault::Method)),
            ("POST ", None, Some(RequestFault::Method)),
            ("put", None, Some(RequestFault::Method)),
            ("PATCHED", None, Some(RequestFault::Method)),
            ("POST, PUT", None, Some(RequestFault::Method)),
            ("POSTED", None, Some(RequestFault::Method)),
            ("", None, Some(RequestFault::Method)),
        ] {
            assert_eq!(admit(method, length).err(), refused, "{method:?} {length:?}");
        }
    }

    #[test]
    fn of_several_lengths_the_last_counts_and_a_transfer_encoding_overrides_them() {
        let length = |headers: &[(&str, &str)]| {
            admission().admit("POST", headers.iter().copied()).map(|admitted| admitted.declared_length())
        };
        assert_eq!(length(&[("Content-Length", "2000"), ("Content-Length", "5")]), Ok(Some(5)));
        assert_eq!(length(&[("Content-Length", "5"), ("Content-Length", "2000")]), Err(TOO_LARGE));
        assert_eq!(length(&[("Content-Length", "5"), ("Content-Length", "many")]), Ok(None));
        assert_eq!(length(&[("content-length", "2000"), ("transfer-encoding", "")]), Ok(None));
    }

    #[test]
    fn the_usual_limit_is_a_mebibyte() {
        assert_eq!((Admission::new().limit(), Admission::default()), (DEFAULT_BODY_LIMIT, Admission::new()));
        assert_eq!(DEFAULT_BODY_LIMIT, 1_048_576);
    }
}

mod bodies {
    use super::*;

    /// What comes of a body of this length, handed over at once and in pieces of these lengths.
    fn verdicts(declared: Option<u64>, found: usize) -> [Result<usize, RequestFault>; 4] {
        let body = vec![b'x'; found];
        let whole = admit("POST", declared).unwrap().whole(&body).map(|received| received.body().as_bytes().len());
        let in_pieces = [1, 7, usize::MAX].map(|length| {
            let mut arriving = admit("POST", declared).unwrap().arriving();
            body.chunks(length).try_for_each(|piece| arriving.push(piece.to_vec().into()))?;
            arriving.end().map(|received| received.body().as_bytes().len())
        });
        let [one, seven, all] = in_pieces;
        [whole, one, seven, all]
    }

    #[test]
    fn one_is_held_against_the_limit_and_the_declared_length_however_it_comes() {
        let incomplete = |expected, found| Err(RequestFault::Incomplete { expected, found });
        for (declared, found, verdict) in [
            (None, 0, Ok(0)),
            (None, 1, Ok(1)),
            (None, 1000, Ok(1000)),
            (Some(0), 0, Ok(0)),
            (Some(1000), 1000, Ok(1000)),
            // Unpacked on the way.
            (Some(0), 5, Ok(5)),
            (Some(999), 1000, Ok(1000)),
            (None, 1001, Err(TOO_LARGE)),
            (Some(0), 1001, Err(TOO_LARGE)),
            (Some(1000), 5000, Err(TOO_LARGE)),
            // No fault of the app's, as far as this can know: a sender may leave the body out.
            (Some(1), 0, incomplete(1, 0)),
            (Some(1000), 0, incomplete(1000, 0)),
            (Some(2), 1, incomplete(2, 1)),
            (Some(1000), 999, incomplete(1000, 999)),
        ] {
            assert_eq!(verdicts(declared, found), [verdict; 4], "{declared:?} {found}");
        }
    }

    #[test]
    fn the_smallest_limit_holds_to_the_byte() {
        let none = Admission::new().body_limit(0);
        let too_large = RequestFault::TooLarge { limit: 0 };
        let admit = |length: &'static str| none.admit("POST", [("Content-Length", length)]);
        assert_eq!(admit("1").unwrap_err(), too_large);
        assert_eq!(admit("0").unwrap().whole(b"").unwrap().body().as_bytes(), b"");
        assert_eq!(admit("0").unwrap().whole(b"x").unwrap_err(), too_large);
        let mut arriving = admit("0").unwrap().arriving();
        assert_eq!((arriving.room(), arriving.push("x".into())), (0, Err(too_large)));
        assert!(arriving.is_empty());
    }

    fn arriving() -> ArrivingBody {
        admit("POST", Some(10)).unwrap().arriving()
    }

    #[test]
    fn what_has_come_of_a_body_that_is_refused_is_still_there() {
        let mut early = arriving();
        early.push("abc".into()).unwrap();
        assert_eq!(early.end().unwrap_err(), RequestFault::Incomplete { expected: 10, found: 3 });
        early.push("def".into()).unwrap();
        assert_eq!((early.len(), early.room()), (6, 994));
        assert_eq!(early.into_bytes(), "abcdef");

        let mut large = arriving();
        assert_eq!(large.push(vec![b'x'; 1001].into()), Err(TOO_LARGE));
        assert_eq!(large.push("y".into()), Err(TOO_LARGE), "and stays so");
        assert_eq!(large.into_bytes(), vec![b'x'; 1000]);
    }

    #[test]
    fn a_connection_that_breaks_in_a_body_is_named_by_what_is_missing() {
        let mut body = arriving();
        assert_eq!(body.broken(), RequestFault::Incomplete { expected: 10, found: 0 });
        body.push("0123456789".into()).unwrap();
        assert_eq!(body.broken(), RequestFault::Broken, "nothing that was declared is missing");
        assert_eq!(admit("POST", None).unwrap().arriving().broken(), RequestFault::Broken);
    }

    #[test]
    fn a_body_in_one_piece_is_not_copied() {
        let piece = bytes::Bytes::from(vec![b'x'; 500]);
        let mut body = arriving();
        body.push(piece.clone()).unwrap();
        let received = body.end().unwrap();
        assert_eq!(received.body().as_bytes().as_ptr(), piece.as_ptr());
    }
}

mod verified {
    use super::*;

    const BODY: &[u8] = br#"{"event_type": "issue_new", "id": 7}"#;

    fn headers(timestamp: Option<&str>) -> Vec<(String, String)> {
        let signature = sign(&Secret::new("secret").unwrap(), BODY, timestamp);
        let timestamp = timestamp.map(|timestamp| ("x-pylon-timestamp".into(), timestamp.into()));
        [("X-Pylon-Signature".into(), signature)].into_iter().chain(timestamp).collect()
    }

    #[test]
    fn it_carries_the_body_and_what_was_signed_to_the_event_and_its_key() {
        let verifier = Verifier::builder().secret("secret").tolerance(Duration::from_secs(60)).build().unwrap();
        let exact = ReplayRule::ExactRequest;
        for (timestamp, seconds, expires) in
            [(None, None, None), (Some("0001700000007"), Some(NOW + 7), Some(NOW + 68))]
        {
            let admitted = verifier.admission().admit("POST", headers(timestamp)).unwrap();
            let verified = verifier.verify_received_at(admitted.whole(BODY).unwrap(), || NOW).unwrap();
            assert_eq!(verified.as_bytes(), BODY);
            let of_body = exact.key_of_body(&verified).unwrap();
            let event = EventReader::new().read(verified).unwrap();
            let signed = event.signed().unwrap();
            assert_eq!((signed.timestamp, signed.now, signed.tolerance_seconds), (seconds, NOW, 60));
            let key = exact.key(&event).unwrap();
            assert_eq!((&key, key.expires), (&of_body, expires));
        }
    }

    #[test]
    fn the_time_is_asked_once_and_for_authentic_deliveries_alone() {
        let verifier = Verifier::builder().secret("secret").clock(|| panic!("not asked")).build().unwrap();
        let asked = AtomicUsize::new(0);
        let now = || asked.fetch_add(1, Ordering::SeqCst) as u64 + NOW;
        for (headers, is_authentic) in [
            (headers(None), true),
            (headers(Some("1700000000")), true),
            (vec![("X-Pylon-Signature".into(), "0".repeat(64))], false),
            (vec![], false),
        ] {
            let before = asked.load(Ordering::SeqCst);
            let received = verifier.admission().admit("POST", headers).unwrap().whole(BODY).unwrap();
            assert_eq!(verifier.verify_received_at(received, now).is_ok(), is_authentic);
            assert_eq!(asked.load(Ordering::SeqCst) - before, usize::from(is_authentic));
        }
    }

    #[test]
    fn what_is_accepted_unsigned_has_no_timestamp_whatever_the_headers_say() {
        let received = admission().admit("POST", headers(Some("1700000000"))).unwrap().whole(b"no JSON").unwrap();
        let verified = received.accept_unsigned(NOW);
        let signed = verified.signed().unwrap();
        assert_eq!((signed.timestamp, signed.now), (None, NOW));
        let window = ReplayRule::BodyHash { window: Duration::from_secs(60) };
        assert_eq!(window.key_of_body(&verified).unwrap().expires, Some(NOW + 60));
    }

    #[test]
    fn a_stored_event_is_what_it_was_and_has_no_key() {
        let event = WebhookEvent::from_stored(BODY, "issue_new", Some(EventKind::IssueNew)).unwrap();
        let stored = pylon_webhooks::Verified::stored(event);
        assert_eq!(stored.signed(), None);
        for rule in [ReplayRule::ExactRequest, ReplayRule::pointer("/id", None).unwrap()] {
            assert_eq!(rule.key(&stored), None);
        }
    }
}

#[test]
fn each_fault_has_its_sentence_and_its_outcome() {
    for (fault, sentence, outcome) in [
        (
            RequestFault::Method,
            "wrong method: expected POST, PUT or PATCH, found another; choose POST as the method of the webhook in Pylon",
            Outcome::MethodNotAllowed,
        ),
        (TOO_LARGE, "body too large: expected at most 1000 bytes, found more", Outcome::TooLarge),
        (
            RequestFault::Incomplete { expected: 10, found: 7 },
            "incomplete body: expected 10 bytes, as the headers declare, found 7",
            Outcome::Unreadable,
        ),
        (
            RequestFault::Incomplete { expected: 10, found: 0 },
            "incomplete body: expected 10 bytes, as the headers declare, found none; the sender disconnected, or \
             something else read the body first",
            Outcome::Unreadable,
        ),
        (
            RequestFault::Broken,
            "incomplete body: the connection closed before the end of the body",
            Outcome::Unreadable,
        ),
        (
            RequestFault::Consumed,
            "body already read: something else in the app read the body first; keep middleware and form parsing away \
             from this path",
            Outcome::Failed,
        ),
    ] {
        assert_eq!((fault.to_string().as_str(), Outcome::from(fault)), (sentence, outcome));
    }
}
