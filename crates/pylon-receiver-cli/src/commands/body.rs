//! Bodies: as the admin API tells them, and as a command takes them.

use super::fault::Fault;
use super::text;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use std::io::Read;
use std::path::Path;

/// A body in the admin API's JSON.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Body {
    /// It is text.
    Text(String),
    /// It is not.
    Base64(String),
}

impl Body {
    /// Its beginning, at most so many characters, for people: lines that are indented.
    pub(crate) fn lines(&self, most: usize) -> Vec<String> {
        let all = match self {
            Self::Text(all) => all,
            Self::Base64(encoded) => {
                let found = STANDARD.decode(encoded).map_or("bytes".into(), |bytes| format!("{} bytes", bytes.len()));
                return vec![format!("  ({found} that are not text)")];
            }
        };
        let start: String = all.chars().take(most).collect();
        let mut lines: Vec<String> = start.lines().map(|line| format!("  {}", text::escape(line))).collect();
        if start.len() < all.len() {
            lines.push(format!("  (and {} bytes more)", all.len() - start.len()));
        }
        lines
    }
}

/// Everything on standard input, byte for byte.
pub(crate) fn standard_input() -> Result<Vec<u8>, Fault> {
    let mut body = Vec::new();
    let read = std::io::stdin().lock().read_to_end(&mut body);
    read.map(|_| body).map_err(|error| Fault::failed(format!("standard input cannot be read: {error}")))
}

/// A file's bytes, `-` being standard input.
pub(crate) fn file_or_standard_input(path: &Path) -> Result<Vec<u8>, Fault> {
    if path.as_os_str() == "-" {
        return standard_input();
    }
    std::fs::read(path).map_err(|error| Fault::failed(format!("{} cannot be read: {error}", path.display())))
}
