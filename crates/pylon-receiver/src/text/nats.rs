//! URLs of NATS servers.

use super::url::has_port_in_range;
use http::Uri;

/// What an error message expects.
const EXPECTED: &str = "expected the URL of a NATS server such as `nats://127.0.0.1:4222`";

/// The port of a server whose URL names none.
pub(crate) const NATS_PORT: u16 = 4222;

/// Reads the URLs of the servers of one NATS cluster, with commas between them. A URL may hold a user and a password, or a token.
/// Errors do not show the text.
///
/// ```
/// use pylon_receiver::text::parse_nats;
///
/// let servers = parse_nats("nats://a.example.com:4222,nats://b.example.com")?;
/// assert_eq!(servers[1].host(), Some("b.example.com"));
/// assert!(parse_nats("http://127.0.0.1:4222").is_err());
/// # Ok::<(), String>(())
/// ```
///
/// # Errors
/// A sentence with what was expected and what was found.
pub fn parse_nats(text: &str) -> Result<Vec<Uri>, String> {
    let servers: Vec<Uri> = text.split(',').map(|server| parse(server.trim())).collect::<Result<_, _>>()?;
    let differ = |part: fn(&Uri) -> &str| servers.iter().any(|server| part(server) != part(&servers[0]));
    if differ(|server| server.scheme_str().unwrap_or_default()) {
        return Err("expected `nats://` for all servers, or `tls://` for all, found both".to_owned());
    }
    if differ(|server| userinfo(server).unwrap_or_default()) {
        return Err("expected the same user and password for all servers, found others".to_owned());
    }
    Ok(servers)
}

/// What is before the `@` of a URL, as it is written there.
pub(crate) fn userinfo(server: &Uri) -> Option<&str> {
    server.authority()?.as_str().rsplit_once('@').map(|(userinfo, _)| userinfo)
}

fn parse(text: &str) -> Result<Uri, String> {
    if !text.contains("://") {
        return Err(format!("{EXPECTED}, found no scheme"));
    }
    let url: Uri = text.parse().map_err(|_| format!("{EXPECTED}, found another text"))?;
    let found = match (url.scheme_str(), url.authority()) {
        (Some("nats" | "tls"), Some(authority)) if authority.host().trim_matches(['[', ']']).is_empty() => {
            "one without a host"
        }
        (Some("nats" | "tls"), Some(authority)) if !has_port_in_range(authority) => "a port above 65535",
        (Some("nats" | "tls"), Some(_)) => match url.path_and_query().map_or("/", |path| path.as_str()) {
            "/" | "" if !text.contains('#') => return Ok(url),
            _ => "a path",
        },
        (Some("ws" | "wss"), _) => "a WebSocket; use `nats://` or `tls://`",
        _ => "another scheme",
    };
    Err(format!("{EXPECTED}, found {found}"))
}
