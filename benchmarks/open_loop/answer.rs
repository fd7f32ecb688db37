//! Answers: reading one from the bytes that have come.

/// A whole answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer<'a> {
    pub(crate) status: u16,
    /// Whether the server closes the connection after it.
    pub(crate) closes: bool,
    pub(crate) body: &'a [u8],
}

impl<'a> Answer<'a> {
    /// Reads an answer of HTTP/1.1 that says its length; none while it is not whole.
    pub(crate) fn read(bytes: &'a [u8]) -> Result<Option<Self>, &'static str> {
        let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
            return Ok(None);
        };
        let head = std::str::from_utf8(&bytes[..end]).map_err(|_| "the head of the answer is not text")?;
        let mut lines = head.split("\r\n");
        let status = lines
            .next()
            .and_then(|line| line.strip_prefix("HTTP/1.1 "))
            .and_then(|rest| rest.split(' ').next()?.parse().ok())
            .ok_or("the answer is not HTTP/1.1")?;
        let (mut length, mut closes) = (None, false);
        for (name, value) in lines.filter_map(|line| line.split_once(':')) {
            if name.eq_ignore_ascii_case("content-length") {
                length = value.trim().parse().ok();
            } else if name.eq_ignore_ascii_case("connection") {
                closes = value.trim().eq_ignore_ascii_case("close");
            }
        }
        let length: usize = length.ok_or("the answer does not say its content-length")?;
        let body = &bytes[end + 4..];
        match body.len() {
            found if found < length => Ok(None),
            found if found > length => Err("more came than one answer"),
            _ => Ok(Some(Self { status, closes, body })),
        }
    }

    /// The event's id: the first UUID that stands in the body between quotation marks.
    pub(crate) fn event(&self) -> Option<&'a str> {
        let is_hyphen_due = |at: usize| matches!(at, 8 | 13 | 18 | 23);
        let is_uuid = |text: &&str| {
            let mut bytes = text.bytes().enumerate();
            text.len() == 36
                && bytes.all(|(at, byte)| if is_hyphen_due(at) { byte == b'-' } else { byte.is_ascii_hexdigit() })
        };
        std::str::from_utf8(self.body).ok()?.split('"').find(is_uuid)
    }
}
