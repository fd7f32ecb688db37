//! What a handler, a type of your own or a replay store may fail with.

/// Any error of a handler.
pub type HandlerError = Box<dyn std::error::Error + Send + Sync>;
