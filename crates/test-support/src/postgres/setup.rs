//! What a cluster is to be like, before it starts.

/// What a cluster is to be like.
#[derive(Debug, Clone, Default)]
pub struct Setup {
    pub(super) has_tcp: bool,
    pub(super) is_durable: bool,
    pub(super) settings: Vec<(String, String)>,
}

impl Setup {
    /// Listens on a free port of 127.0.0.1 too, which asks for the password.
    #[must_use]
    pub fn tcp(mut self) -> Self {
        self.has_tcp = true;
        self
    }

    /// Syncs to disk as a server in production does.
    #[must_use]
    pub fn durable(mut self) -> Self {
        self.is_durable = true;
        self
    }

    /// Sets what `postgresql.conf` sets.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.settings.push((name.to_owned(), value.to_owned()));
        self
    }
}
