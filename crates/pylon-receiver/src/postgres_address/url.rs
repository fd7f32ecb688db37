//! The parts of a URL, decoded. What stands before its parameters may hold a password, so no error shows any of it.

use crate::text::quoted;
use percent_encoding::percent_decode_str;
use zeroize::Zeroizing;

/// What an error message expects.
const EXPECTED: &str = "expected a URL such as `postgres://pylon@db.example.com/pylon`";
/// What usually explains an odd URL.
const ADVICE: &str = "in a user or a password, write `%40` for `@`, `%2F` for `/`, `%3A` for `:` and `%3F` for `?`";

/// Parts of a URL by the name that the same setting has as a parameter.
pub(super) type Parts = Vec<(String, Zeroizing<String>)>;

/// What follows the scheme of a PostgreSQL URL.
pub(super) fn without_scheme(url: &str) -> Option<&str> {
    ["postgres://", "postgresql://"].into_iter().find_map(|scheme| url.strip_prefix(scheme))
}

/// Takes a URL to parts.
pub(super) fn split(url: &str) -> Result<Parts, String> {
    let rest = without_scheme(url).ok_or_else(|| format!("{EXPECTED}, found another scheme"))?;
    let (rest, query) = rest.split_once('?').map_or((rest, None), |(rest, query)| (rest, Some(query)));
    let (authority, database) = rest.split_once('/').unwrap_or((rest, ""));
    if database.contains(['@', '/']) {
        return Err(format!("{EXPECTED}, found `/` or `@` behind the database's `/`; {ADVICE}"));
    }
    let mut parts = Parts::new();
    let mut add = |name: &str, value: Zeroizing<String>| {
        if !value.is_empty() {
            parts.push((name.to_owned(), value));
        }
    };
    let hosts = match authority.rsplit_once('@') {
        Some((credentials, hosts)) => {
            let (user, password) = credentials.split_once(':').unwrap_or((credentials, ""));
            if user.contains('@') || password.contains('@') {
                return Err(format!("{EXPECTED}, found more than one `@` before the database; {ADVICE}"));
            }
            add("user", decoded(user)?);
            add("password", decoded(password)?);
            hosts
        }
        None => authority,
    };
    let (names, ports) = hosts_of(hosts)?;
    add("host", names.into());
    add("port", ports.into());
    add("dbname", decoded(database)?);
    for parameter in query.into_iter().flat_map(|query| query.split('&')) {
        let Some((name, value)) = parameter.split_once('=') else {
            return Err(format!("{EXPECTED}, found a parameter without `=` and a value; {ADVICE}"));
        };
        // Anything else may be the rest of a password with a `?` in it.
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_') {
            return Err(format!("{EXPECTED}, found a parameter whose name is not of small letters and `_`; {ADVICE}"));
        }
        if parts.iter().any(|(known, _)| known == name) {
            return Err(format!("{EXPECTED}, found {} twice", quoted(name)));
        }
        let value = decoded(value)?;
        if !value.is_empty() {
            parts.push((name.to_owned(), value));
        }
    }
    Ok(parts)
}

/// The hosts and the ports of `one,two:5433,[::1]`, each as the parameter has them.
fn hosts_of(hosts: &str) -> Result<(String, String), String> {
    if hosts.is_empty() {
        return Ok((String::new(), String::new()));
    }
    let (mut names, mut ports) = (Vec::new(), Vec::new());
    for host in hosts.split(',') {
        let (name, port) = match host.strip_prefix('[') {
            Some(rest) => {
                let (name, rest) = rest.split_once(']').ok_or_else(|| format!("{EXPECTED}, found `[` without `]`"))?;
                let port = match rest.strip_prefix(':') {
                    Some(port) => port,
                    None if rest.is_empty() => "",
                    None => return Err(format!("{EXPECTED}, found something between `]` and the port")),
                };
                (name, port)
            }
            None => host.split_once(':').unwrap_or((host, "")),
        };
        if port.contains(|character: char| !character.is_ascii_digit()) {
            return Err(format!("{EXPECTED}, found a port that is no number; {ADVICE}"));
        }
        names.push(decoded(name)?.to_string());
        ports.push(port);
    }
    // Without any, the environment may have one for all.
    let ports = if ports.iter().all(|port| port.is_empty()) { String::new() } else { ports.join(",") };
    Ok((names.join(","), ports))
}

fn decoded(text: &str) -> Result<Zeroizing<String>, String> {
    let malformed = || format!("{EXPECTED}, found a malformed `%` in it; {ADVICE}, and `%25` for `%`");
    for (place, _) in text.match_indices('%') {
        let digits = text.as_bytes().get(place + 1..place + 3).unwrap_or_default();
        if digits.len() < 2 || !digits.iter().all(u8::is_ascii_hexdigit) {
            return Err(malformed());
        }
    }
    let decoded = percent_decode_str(text).decode_utf8().map_err(|_| malformed())?;
    if decoded.contains('\0') {
        return Err(malformed());
    }
    Ok(Zeroizing::new(decoded.into_owned()))
}
