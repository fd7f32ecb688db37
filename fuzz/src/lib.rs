//! The fuzz targets as plain functions of bytes, so that tests can replay what a fuzzer found.
//!
//! Inputs are text that people can write: `fuzz/corpus` holds some for each target. In a header's value `$` stands for the
//! signature that is due, for no fuzzer guesses an HMAC.

mod differential;
mod event;
mod headers;

pub use differential::differential;
pub use event::event;
pub use headers::headers;

/// Runs a target on the files named on the command line.
///
/// # Errors
/// When a file cannot be read.
pub fn replay(target: fn(&[u8])) -> std::io::Result<()> {
    std::env::args_os().skip(1).try_for_each(|path| std::fs::read(path).map(|data| target(&data)))
}

/// The text with the signature in place of each `$`.
fn with_signature(text: &[u8], signature: &str) -> Vec<u8> {
    let parts: Vec<&[u8]> = text.split(|&byte| byte == b'$').collect();
    parts.join(signature.as_bytes())
}

/// The first line and the rest.
fn split_line(data: &[u8]) -> (&[u8], &[u8]) {
    match data.iter().position(|&byte| byte == b'\n') {
        Some(end) => (&data[..end], &data[end + 1..]),
        None => (data, &[]),
    }
}
