//! What is asked.

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Surface {
    /// The API, by a program.
    Api,
    /// A page, by a browser.
    Page,
}
