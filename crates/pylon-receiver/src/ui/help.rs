//! Words, search and keys.

use super::frame::Frame;
use super::page::{Answer, page};
use askama::Template;
use http::HeaderMap;

#[derive(Template)]
#[template(path = "help.html")]
struct Help {
    frame: Frame,
}

pub(super) async fn show(headers: HeaderMap) -> Answer {
    page(&Help { frame: Frame::bare("") }, &headers)
}
