//! URLs of HTTP servers.

use http::Uri;
use http::uri::Authority;

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
    if text.starts_with("unix:") {
        return Err(format!(
            "expected {URL}, found a Unix socket; name it with `socket`, and say scheme and path here"
        ));
    }
    if !text.contains("://") {
        return Err(format!("expected {URL}, found no scheme"));
    }
    let url: Uri = text.parse().map_err(|_| format!("expected {URL}, found something else"))?;
    url_fault(&url).map_or(Ok(url), Err)
}

/// Reads the URL of a forward proxy, which may hold a user and a password. Errors do not show the text.
///
/// ```
/// use pylon_receiver::text::parse_proxy;
///
/// assert!(parse_proxy("http://user:password@proxy.example.com:3128").is_ok());
/// assert!(parse_proxy("socks5://proxy.example.com").is_err());
/// ```
///
/// # Errors
/// A sentence with what was expected and what was found.
pub fn parse_proxy(text: &str) -> Result<Uri, String> {
    const EXPECTED: &str = "expected the URL of a proxy such as `http://127.0.0.1:3128`";
    if !text.contains("://") {
        return Err(format!("{EXPECTED}, found no scheme"));
    }
    let url: Uri = text.parse().map_err(|_| format!("{EXPECTED}, found another text"))?;
    let found = match (url.scheme_str(), url.authority()) {
        (Some("http"), Some(authority)) if !has_port_in_range(authority) => "a port above 65535",
        (Some("http"), Some(authority)) if !authority.host().is_empty() => {
            match url.path_and_query().map_or("/", |path| path.as_str()) {
                "/" if !text.contains('#') => return Ok(url),
                _ => "a path",
            }
        }
        (Some("http"), _) => "one without a host",
        _ => "another scheme",
    };
    Err(format!("{EXPECTED}, found {found}"))
}

/// Why this is not the URL of an HTTP server, if it is not.
pub fn url_fault(url: &Uri) -> Option<String> {
    let found = match (url.scheme_str(), url.authority()) {
        (Some("http" | "https"), Some(authority)) if authority.as_str().contains('@') => {
            return Some("expected a URL without a user, found one; send credentials in a header".to_owned());
        }
        (Some("http" | "https"), Some(authority)) if !has_port_in_range(authority) => "a port above 65535",
        (Some("http" | "https"), Some(authority)) if !authority.host().is_empty() => return None,
        (Some("http" | "https"), _) => "one without a host",
        (Some(_), _) => "another scheme",
        (None, _) => "no scheme",
    };
    Some(format!("expected {URL}, found {found}"))
}

/// `Authority::port` has none where there is a number too large.
pub(super) fn has_port_in_range(authority: &Authority) -> bool {
    let after_host = authority.as_str().rsplit(['@', ']']).next().unwrap_or_default();
    let digits = after_host.rsplit_once(':').map_or("", |(_, digits)| digits);
    digits.is_empty() || digits.parse::<u16>().is_ok()
}
