//! What is told of compressed bodies.

use super::*;

const GZIP: &[u8] = b"\x1f\x8b\x08\0\0\0\0\0\0\x03\xab\xae\x05\0\x43\xbf\xa6\xa3\x02\0\0\0";
const ZLIB: &[u8] = b"\x78\x9c\xab\xae\x05\0\x01\x75\0\xf9";
const ZSTD: &[u8] = b"\x28\xb5\x2f\xfd\x04\0\x11\0\0{}";
/// Brotli has no magic number.
const BROTLI: &[u8] = b"\x8b\0\x80{}\x03\xff";

/// A body, its `Content-Encoding`, and the compression that is told.
const BODIES: [(&[u8], &str, Option<&str>); 16] = [
    (GZIP, "gzip", Some("gzip")),
    (GZIP, "", Some("gzip")),
    (GZIP, "br", Some("gzip")),
    (GZIP, "identity", Some("gzip")),
    (ZLIB, "deflate", Some("deflate")),
    (ZLIB, "", Some("deflate")),
    (ZSTD, "zstd", Some("zstd")),
    (ZSTD, "", Some("zstd")),
    (BROTLI, "br", Some("brotli")),
    (BROTLI, "BR", Some("brotli")),
    (BROTLI, "identity, br", Some("brotli")),
    (BROTLI, "x-gzip", Some("gzip")),
    (BROTLI, "", None),
    (BROTLI, "identity", None),
    (BROTLI, "aes128gcm", None),
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
            match expected {
                Some(name) => assert_eq!(
                    *parked,
                    *format!(
                        "the body is {name}-compressed: expected JSON in UTF-8; have the sender or the proxy send it \
                         uncompressed"
                    ),
                    "{encoding:?}"
                ),
                None => assert!(parked.starts_with("expected JSON"), "{encoding:?}: {parked}"),
            }
        });
        assert_eq!(lines[0].contains("-compressed"), expected.is_some(), "{}", lines[0]);
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
            let hint = expected.map(|name| {
                format!(
                    "; the body is {name}-compressed: if a proxy compresses requests, switch that off, because it breaks \
                     the signature"
                )
            });
            match hint {
                Some(hint) => assert!(refused.reason.ends_with(&hint), "{encoding:?}: {}", refused.reason),
                None => assert!(!refused.reason.contains("compressed"), "{encoding:?}: {}", refused.reason),
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
        // Nor is an unsigned one a matter of compression.
        front.post(&header("Content-Encoding", "gzip"), b"{}").await;
        assert_eq!(front.refusal().code, "signature_missing");
        assert!(!front.refusal().reason.contains("compressed"));
    });
}
