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

    /// Bytes as gzip begins them: no text.
    const PACKED: &[u8] = b"\x1F\x8B\x08\x00\x00\x00\x00\x00";

    #[test]
    fn a_length_is_compared_only_where_nothing_was_unpacked_on_the_way() {
        let incomplete = |found| Err(RequestFault::Incomplete { expected: 20, found });
        let one_mebibyte = vec![b' '; 1001];
        for (encoding, body, verdict) in [
            ("gzip", PACKED, incomplete(8)),
            ("gzip", b"{}", Ok(())),
            ("gzip", b"no JSON", Ok(())),
            ("GZIP", b"{}", Ok(())),
            ("x-gzip", b"{}", Ok(())),
            ("deflate", b"{}", Ok(())),
            ("br", b"{}", Ok(())),
            ("zstd", b"{}", Ok(())),
            ("snappy", b"{}", Ok(())),
            ("gzip, br", b"{}", Ok(())),
            ("gzip, br", PACKED, incomplete(8)),
            ("gzip", b"", incomplete(0)),
            ("identity", b"{}", incomplete(2)),
            ("Identity", PACKED, incomplete(8)),
            ("", b"{}", incomplete(2)),
            (" ", b"{}", incomplete(2)),
            ("gzip", &one_mebibyte, Err(TOO_LARGE)),
        ] {
            let headers = [("Content-Length", "20"), ("content-encoding", encoding)];
            let admitted = admission().admit("POST", headers).unwrap();
            let mut arriving = admitted.clone().arriving();
            let in_pieces = body.chunks(1).try_for_each(|piece| arriving.push(piece.to_vec().into()));
            assert_eq!(in_pieces.and_then(|()| arriving.end().map(drop)), verdict, "{encoding} {body:?} in pieces");
            assert_eq!(admitted.whole(body).map(drop), verdict, "{encoding} {body:?}");
        }
    }

    #[test]
    fn the_fault_of_a_body_that_breaks_names_its_encoding() {
        let gzip = RequestFault::BrokenEncoded { name: "gzip" };
        for (encoding, fault) in [("gzip", gzip), (" X-GZIP ", gzip), ("identity", RequestFault::Broken)] {
            let admitted = admission().admit("POST", [("Content-Encoding", encoding)]).unwrap();
            assert_eq!((admitted.broken(), admitted.arriving().broken()), (fault, fault));
        }
        let secret = admission().admit("POST", [("Content-Encoding", "whisper")]).unwrap().broken();
        assert_eq!(secret, RequestFault::BrokenEncoded { name: "of another name" }, "no header's own text is shown");
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
    fn a_body_that_is_compressed_is_told_by_the_name_of_its_encoding() {
        let verifier = Verifier::builder().secret("secret").build().unwrap();
        for (encoding, body, message) in [
            (
                "gzip",
                b"\x1F\x8B\x08\x00".as_slice(),
                "unreadable payload: expected JSON, found a compressed body (gzip); let nothing on the way compress it",
            ),
            (
                "BR",
                b"\x0B\x00\x80{}\x03",
                "unreadable payload: expected JSON, found a compressed body (br); let nothing on the way compress it",
            ),
            // The bytes say it themselves, whatever the header says.
            (
                "identity",
                b"\x1F\x8B",
                "unreadable payload: expected JSON, found a compressed body (gzip); let nothing on the way compress it",
            ),
            (
                "br",
                b"\x78\x9C\xAB\xAE\x05\x00",
                "unreadable payload: expected JSON, found a compressed body (deflate); let nothing on the way compress it",
            ),
            (
                "",
                b"\x28\xB5\x2F\xFD\x04",
                "unreadable payload: expected JSON, found a compressed body (zstd); let nothing on the way compress it",
            ),
            (
                "",
                b"x^2",
                "unreadable payload: expected JSON, found a syntax error at line 1 column 1; usually a value has \
              a quote or a backslash that is not escaped: remove that variable from the trigger's template",
            ),
            // Unpacked on the way, and what is wrong is something else.
            ("gzip", b"event=issue_new", "unreadable payload: expected JSON, found a form body"),
            ("gzip", b"", "unreadable payload: expected JSON, found an empty body"),
            ("identity", b"{\x8B", "unreadable payload: expected JSON in UTF-8, found other bytes at offset 1"),
        ] {
            let signature = sign(&Secret::new("secret").unwrap(), body, None);
            let headers = [("Content-Encoding", encoding), ("X-Pylon-Signature", &signature)];
            let received = verifier.admission().admit("POST", headers).unwrap().whole(body).unwrap();
            let error = EventReader::new().read(verifier.verify_received(received).unwrap()).unwrap_err();
            assert_eq!((error.to_string().as_str(), error.payload().as_ref()), (message, body));
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
            RequestFault::BrokenEncoded { name: "gzip" },
            "incomplete body: the connection closed before the end of the body, or the server could not unpack it \
             (Content-Encoding: gzip)",
            Outcome::Unreadable,
        ),
        (
            RequestFault::LengthRequired,
            "missing length: the server gave the app no body, since the request has no Content-Length and this server \
             does not say where such a body ends (wsgi.input_terminated); use a server that does, such as gunicorn, or \
             put one in front that buffers requests, such as nginx",
            Outcome::LengthRequired,
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
