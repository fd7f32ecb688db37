//! URLs of HTTP servers.

use http::Uri;

/// What an error message expects.
pub(crate) const URL: &str = "a URL such as `http://127.0.0.1:3000/webhook`";

/// Reads the URL of an HTTP server. Errors do not show the text, because it may hold a credential.
///
/// ```
/// use pylon_receiver::text::parse_url;
///
/// assert!(parse_url("http://127.0.0.1:3000/webhook").is_ok());
/// assert!(parse_url("https://user:password@example.com").is_err());
/// ```
///
/// # Errors
/// A sentence with what was expected and what was found.
pub fn parse_url(text: &str) -> Result<Uri, String> {
    // `Uri` silently drops a fragment.
    if text.contains('#') {
        return Err("expected a URL without a fragment, found a `#` in it".to_owned());
    }
    if !text.contains("://") {
        return Err(format!("expected {URL}, found no scheme"));
    }
    let url: Uri = text.parse().map_err(|_| format!("expected {URL}, found something else"))?;
    url_fault(&url).map_or(Ok(url), Err)
}

/// Why this is not the URL of an HTTP server, if it is not.
pub fn url_fault(url: &Uri) -> Option<String> {
    let found = match (url.scheme_str(), url.authority()) {
        (Some("http" | "https"), Some(authority)) if authority.as_str().contains('@') => {
            return Some("expected a URL without a user, found one; send credentials in a header".to_owned());
        }
        (Some("http" | "https"), Some(authority)) if !authority.host().is_empty() => return None,
        (Some("http" | "https"), _) => "one without a host",
        (Some(_), _) => "another scheme",
        (None, _) => "no scheme",
    };
    Some(format!("expected {URL}, found {found}"))
}
