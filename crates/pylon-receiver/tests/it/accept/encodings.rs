//! What is told of compressed bodies.

use super::*;

const GZIP: &[u8] = b"\x1f\x8b\x08\0\0\0\0\0\0\x03\xab\xae\x05\0\x43\xbf\xa6\xa3\x02\0\0\0";
/// Brotli has no magic number.
const BROTLI: &[u8] = b"\x8b\0\x80{}\x03\xff";

/// A body, its `Content-Encoding`, and the compression that is told.
const BODIES: [(&[u8], &str, Option<&str>); 5] = [
    (GZIP, "gzip", Some("gzip")),
    (GZIP, "", Some("gzip")),
    (BROTLI, "br", Some("br")),
    (BROTLI, "", None),
    (b"xyz", "", None),
];

fn with_encoding(headers: Vec<(String, String)>, encoding: &str) -> Vec<(String, String)> {
    [headers, if encoding.is_empty() { vec![] } else { header("Content-Encoding", encoding) }].concat()
}

#[test]
fn a_compressed_body_is_parked_by_the_name_of_its_compression() {
    for (body, encoding, expected) in BODIES {
        let ((), lines) = run(async {
            let front = Front::new(&config()).await;
            assert_eq!(front.post(&with_encoding(signed(body), encoding), body).await.status, 200);
            let parked = front.event().parked.unwrap();
            let compressed = expected.map(|name| format!("found a compressed body ({name})"));
            match compressed {
                Some(compressed) => assert!(parked.contains(&compressed), "{encoding:?}: {parked}"),
                None => assert!(!parked.contains("compressed"), "{encoding:?}: {parked}"),
            }
        });
        assert_eq!(lines[0].contains("compressed"), expected.is_some(), "{}", lines[0]);
    }
}

#[test]
fn the_refusal_of_a_body_that_a_proxy_compressed_says_so() {
    for (body, encoding, expected) in BODIES {
        run(async {
            let front = Front::new(&config()).await;
            // What Pylon signed was not compressed.
            assert_eq!(front.post(&with_encoding(signed(b"{}"), encoding), body).await.status, 401);
            let refused = front.refusal();
            assert_eq!(refused.code, "signature_mismatch");
            let name = expected.map(|name| format!("({name}): let nothing on the way compress"));
            match name {
                Some(name) => assert!(refused.reason.contains(&name), "{encoding:?}: {}", refused.reason),
                None => assert!(!refused.reason.contains("compress"), "{encoding:?}: {}", refused.reason),
            }
        });
    }
}

#[test]
fn json_is_no_compressed_body_whatever_is_declared() {
    run(async {
        let front = Front::new(&config()).await;
        front.post(&with_encoding(signed(b"{}"), "gzip"), b"{}").await.id();
        assert_eq!(front.event().parked, None);
    });
}
