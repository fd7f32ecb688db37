//! Bodies that something on the way has compressed, or unpacked. Pylon signs what it sends, and sends it plain.

/// The compressions of `Content-Encoding` (RFC 9110, section 8.4.1, and its registry), and their names in messages: a log never
/// shows a header's own text.
const NAMES: [(&str, &str); 7] = [
    ("gzip", "gzip"),
    ("x-gzip", "gzip"),
    ("deflate", "deflate"),
    ("br", "brotli"),
    ("zstd", "zstd"),
    ("compress", "compress"),
    ("x-compress", "compress"),
];

/// The compression that a `Content-Encoding` header names.
pub(super) fn named(value: &[u8]) -> Option<&'static str> {
    value.split(|&byte| byte == b',').find_map(|token| {
        let is_token = |name: &str| token.trim_ascii().eq_ignore_ascii_case(name.as_bytes());
        NAMES.iter().find(|(token, _)| is_token(token)).map(|&(_, name)| name)
    })
}

/// The compression of a body: by its first bytes, else by what a header names; none for text, whatever a header says.
pub(super) fn of_body(body: &[u8], named: Option<&'static str>) -> Option<&'static str> {
    let begins = |magic: &[u8]| body.starts_with(magic);
    match body {
        _ if is_text(body) => None,
        _ if begins(&[0x1f, 0x8b]) => Some("gzip"),
        _ if begins(&[0x28, 0xb5, 0x2f, 0xfd]) => Some("zstd"),
        // The header of zlib (RFC 1950): deflate with a window of 32 KiB, and a checksum.
        [0x78, flags, ..] if (0x78 * 256 + u32::from(*flags)) % 31 == 0 => Some("deflate"),
        _ => named,
    }
}

/// Whether the bytes are text. Compressed ones are not: beyond their first bytes, gzip, zlib and zstd are never UTF-8, nor is
/// Brotli but by an unlikely chance.
pub(super) fn is_text(body: &[u8]) -> bool {
    std::str::from_utf8(body).is_ok()
}
