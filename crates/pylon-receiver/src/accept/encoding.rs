//! Compressed bodies, for messages: Pylon signs what it sends, and a proxy in between may have compressed it.

use http::HeaderMap;
use http::header::CONTENT_ENCODING;

/// The name of a body's compression: by the first bytes, else by `Content-Encoding`.
pub(super) fn of(headers: &HeaderMap, body: &[u8]) -> Option<&'static str> {
    let begins = |magic: &[u8]| body.starts_with(magic);
    match body {
        _ if begins(&[0x1f, 0x8b]) => Some("gzip"),
        _ if begins(&[0x28, 0xb5, 0x2f, 0xfd]) => Some("zstd"),
        // The header of zlib (RFC 1950): deflate with a window of 32 KiB, and a checksum.
        [0x78, flags, ..] if (0x78 * 256 + u32::from(*flags)) % 31 == 0 => Some("deflate"),
        _ => declared(headers),
    }
}

fn declared(headers: &HeaderMap) -> Option<&'static str> {
    const NAMES: [(&str, &str); 6] = [
        ("gzip", "gzip"),
        ("x-gzip", "gzip"),
        ("deflate", "deflate"),
        ("br", "brotli"),
        ("zstd", "zstd"),
        ("compress", "compress"),
    ];
    let values = headers.get_all(CONTENT_ENCODING).into_iter();
    let mut tokens = values.flat_map(|value| value.as_bytes().split(|&byte| byte == b','));
    tokens.find_map(|token| {
        let is_token = |name: &str| token.trim_ascii().eq_ignore_ascii_case(name.as_bytes());
        NAMES.iter().find(|(token, _)| is_token(token)).map(|&(_, name)| name)
    })
}
