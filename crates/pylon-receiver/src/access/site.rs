//! Which web pages may ask: our own, and a link anywhere may lead to a page.

use super::denied::Denied;
use super::header::{only, only_text};
use super::surface::Surface;
use http::header::{CONTENT_TYPE, HOST, HeaderMap, ORIGIN};
use http::{HeaderName, Method};

const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
const FETCH_DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");

/// Lets in what comes from no web page, from our own pages, and by a link to a page.
pub(super) fn check(
    surface: Surface,
    method: &Method,
    headers: &HeaderMap,
    public_host: Option<&str>,
) -> Result<(), Denied> {
    let is_reading = matches!(*method, Method::GET | Method::HEAD);
    // Browsers name the site of the page that asks, also for an image, which has no origin.
    let site = headers.contains_key(FETCH_SITE).then(|| only_text(headers, &FETCH_SITE).unwrap_or_default());
    match (site, surface) {
        (None | Some("same-origin" | "none"), _) => {}
        (Some(_), Surface::Page) if is_reading && is_navigation(headers) => return Ok(()),
        (Some(_), Surface::Page) if is_reading => {
            return Err(Denied::forbidden(
                "forbidden site: expected a link to this page, found another page that shows or fetches it; open it in a tab of its own",
            ));
        }
        (Some(_), Surface::Page) => {
            return Err(Denied::forbidden(
                "forbidden site: expected a form of this page, found one of another site; open the page itself",
            ));
        }
        (Some(_), Surface::Api) => {
            return Err(Denied::forbidden(
                "forbidden site: expected same-origin, none or no header sec-fetch-site, found another value; no other page may ask",
            ));
        }
    }
    match surface {
        Surface::Page if !is_reading => check_form(site, headers, public_host),
        Surface::Api | Surface::Page => Ok(()),
    }
}

/// Where the browser names no site (over HTTP from another machine it does not), it names the form's origin.
fn check_form(site: Option<&str>, headers: &HeaderMap, public_host: Option<&str>) -> Result<(), Denied> {
    let is_ours = match site {
        Some(site) => site == "same-origin",
        None => headers.contains_key(ORIGIN) && !is_foreign(headers, public_host),
    };
    if !is_ours {
        return Err(Denied::forbidden(
            "forbidden form: expected one of this page, found another or a proxy that changes the header host; set public_url to the address in the browser",
        ));
    }
    if only_text(headers, &CONTENT_TYPE).is_none_or(|found| essence(found) != "application/x-www-form-urlencoded") {
        return Err(Denied::unsupported(
            "unsupported content type: expected application/x-www-form-urlencoded, found another or none",
        ));
    }
    Ok(())
}

/// Where no token is asked for: lets in no page of another host, and no order that a form could send.
pub(super) fn check_without_token(method: &Method, headers: &HeaderMap) -> Result<(), Denied> {
    if is_foreign(headers, None) {
        return Err(Denied::forbidden(
            "forbidden origin: expected none or that of this host in the header origin, found another; no other page may ask",
        ));
    }
    let is_json = only_text(headers, &CONTENT_TYPE).is_some_and(|found| essence(found) == "application/json");
    if method == Method::POST && !is_json {
        return Err(Denied::unsupported("unsupported content type: expected application/json, found another or none"));
    }
    Ok(())
}

fn is_navigation(headers: &HeaderMap) -> bool {
    let is = |name: HeaderName, expected| only_text(headers, &name) == Some(expected);
    is(FETCH_MODE, "navigate") && is(FETCH_DEST, "document")
}

/// Whether the request names an origin that is neither this host nor the public one.
fn is_foreign(headers: &HeaderMap, public_host: Option<&str>) -> bool {
    if !headers.contains_key(ORIGIN) {
        return false;
    }
    let origin = only(headers, &ORIGIN).and_then(|origin| origin.to_str().ok()).unwrap_or_default();
    let authority = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
    let ours = [only_text(headers, &HOST), public_host];
    !authority.is_some_and(|authority| ours.into_iter().flatten().any(|host| authority.eq_ignore_ascii_case(host)))
}

fn essence(content_type: &str) -> String {
    content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}
