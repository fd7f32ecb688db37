//! The style sheet, the script and the icon: part of the program, and nothing from elsewhere.

use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use sha2::{Digest, Sha256};
use std::sync::LazyLock;

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("script.js");
const ICON: &str = include_str!("icon.svg");

/// The name of the style sheet, which changes with its content: a browser may keep it.
pub(super) fn style_name() -> &'static str {
    static NAME: LazyLock<String> = LazyLock::new(|| named(STYLE, "css"));
    &NAME
}

/// The name of the script, likewise.
pub(super) fn script_name() -> &'static str {
    static NAME: LazyLock<String> = LazyLock::new(|| named(SCRIPT, "js"));
    &NAME
}

pub(super) async fn show(Path(name): Path<String>) -> Response {
    let found = match name {
        name if name == style_name() => Some(("text/css; charset=utf-8", STYLE)),
        name if name == script_name() => Some(("text/javascript; charset=utf-8", SCRIPT)),
        name if name == "icon.svg" => Some(("image/svg+xml", ICON)),
        _ => None,
    };
    match found {
        Some((content_type, text)) => {
            let kept = "private, max-age=31536000, immutable";
            ([(CONTENT_TYPE, content_type), (CACHE_CONTROL, kept)], text).into_response()
        }
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

fn named(content: &str, ending: &str) -> String {
    let digest = Sha256::digest(content);
    format!("{:02x}{:02x}{:02x}{:02x}.{ending}", digest[0], digest[1], digest[2], digest[3])
}
