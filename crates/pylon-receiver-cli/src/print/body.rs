//! The start of a body, for people.

use crate::print::text;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use pylon_receiver::wire::Body;

/// The first characters of a body, as indented lines.
pub(crate) fn lines(body: &Body, most_characters: usize) -> Vec<String> {
    let all = match body {
        Body::Text(all) => all,
        Body::Base64(encoded) => {
            let found = STANDARD.decode(encoded).map_or("bytes".into(), |bytes| format!("{} bytes", bytes.len()));
            return vec![format!("  ({found} that are not text)")];
        }
    };
    let start: String = all.chars().take(most_characters).collect();
    let mut lines: Vec<String> = start.lines().map(|line| format!("  {}", text::escape(line))).collect();
    if start.len() < all.len() {
        lines.push(format!("  (and {} bytes more)", all.len() - start.len()));
    }
    lines
}
