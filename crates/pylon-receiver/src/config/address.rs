//! Addresses as people write them: of ledgers, and of what is reached by HTTP.

use super::LedgerAddress;
use super::unit::quoted;
use http::Uri;
use std::fmt;
use std::path::Path;
use std::str::FromStr;

impl FromStr for LedgerAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let address = match text.split_once(':') {
            Some(("sqlite", path)) => Self::Sqlite(path.into()),
            _ => return Err(format!("expected `sqlite:PATH`, found {}", quoted(text))),
        };
        address.fault().map_or(Ok(address), Err)
    }
}

impl fmt::Display for LedgerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "sqlite:{}", path.display()),
        }
    }
}

impl LedgerAddress {
    /// Why it cannot be the address of a ledger.
    pub(super) fn fault(&self) -> Option<String> {
        let Self::Sqlite(path) = self;
        // SQLite takes these for something other than a file's name.
        let is_file = !path.as_os_str().is_empty()
            && path != Path::new(":memory:")
            && !path.as_os_str().as_encoded_bytes().starts_with(b"file:");
        let found = || quoted(&self.to_string());
        (!is_file).then(|| format!("expected the path of a file after `sqlite:`, found {}", found()))
    }
}

/// Reads the URL of something that is reached by HTTP. Errors do not show it, for it may hold a credential.
///
/// ```
/// use pylon_receiver::config::parse_url;
///
/// assert!(parse_url("http://127.0.0.1:3000/webhook").is_ok());
/// assert!(parse_url("https://user:password@example.com").is_err());
/// ```
///
/// # Errors
/// A sentence on what was expected and what was found.
pub fn parse_url(text: &str) -> Result<Uri, String> {
    // `Uri` leaves a fragment out without a word.
    if text.contains('#') {
        return Err("expected a URL without a fragment, found a `#` in it".to_owned());
    }
    if !text.contains("://") {
        return Err(format!("expected {URL}, found no scheme"));
    }
    let url: Uri = text.parse().map_err(|_| format!("expected {URL}, found another text"))?;
    url_fault(&url).map_or(Ok(url), Err)
}

/// What is expected where a URL should stand.
pub(super) const URL: &str = "a URL such as `http://127.0.0.1:3000/webhook`";

/// Why a URL cannot be reached by HTTP.
pub(super) fn url_fault(url: &Uri) -> Option<String> {
    let found = match (url.scheme_str(), url.authority()) {
        (Some("http" | "https"), Some(authority)) if authority.as_str().contains('@') => {
            let found = "expected a URL without a user, found one; put credentials in `headers`";
            return Some(found.to_owned());
        }
        (Some("http" | "https"), Some(authority)) if !authority.host().is_empty() => return None,
        (Some("http" | "https"), _) => "one without a host",
        (Some(_), _) => "another scheme",
        (None, _) => "no scheme",
    };
    Some(format!("expected {URL}, found {found}"))
}
