//! The `Content-Encoding` of a request: whether its body was compressed on the way, and by what.

/// The encodings that have a name in logs (RFC 9110, section 8.4.1, and its registry). A log never shows a header's own text.
const NAMES: [(&str, &str); 7] = [
    ("gzip", "gzip"),
    ("x-gzip", "gzip"),
    ("deflate", "deflate"),
    ("br", "br"),
    ("zstd", "zstd"),
    ("compress", "compress"),
    ("x-compress", "compress"),
];

/// The encoding that a `Content-Encoding` header names; none where it says that there is none.
pub(super) fn encoding_of(value: &[u8]) -> Option<&'static str> {
    let value = value.trim_ascii();
    if value.is_empty() || value.eq_ignore_ascii_case(b"identity") {
        return None;
    }
    let named = NAMES.iter().find(|(name, _)| value.eq_ignore_ascii_case(name.as_bytes()));
    Some(named.map_or("of another name", |&(_, name)| name))
}

/// Whether the bytes are text, so that they are not compressed, whatever `Content-Encoding` says: something on the way has
/// unpacked them.
///
/// Beyond their first bytes, gzip, zlib and zstd are never UTF-8, nor is Brotli but by an unlikely chance.
pub(super) fn is_text(body: &[u8]) -> bool {
    !body.is_empty() && std::str::from_utf8(body).is_ok()
}

/// By what the bytes are compressed, as their beginning says. Brotli says nothing.
pub(crate) fn compression_of(body: &[u8]) -> Option<&'static str> {
    match body {
        [0x1f, 0x8b, ..] => Some("gzip"),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Some("zstd"),
        // The header of zlib (RFC 1950): deflate with a window of 32 KiB, and a checksum. No JSON begins so.
        [0x78, flags, ..] if (0x7800 | u32::from(*flags)) % 31 == 0 && !is_text(body) => Some("deflate"),
        _ => None,
    }
}
