//! An address as people write it, read.

use super::address::PostgresAddress;
use super::settings::Settings;
use super::url;
use std::ffi::OsString;
use std::str::FromStr;

impl PostgresAddress {
    /// Reads an address. What the URL does not say comes from the environment variables that libpq reads: `variable` looks them up.
    ///
    /// ```
    /// use pylon_receiver::PostgresAddress;
    ///
    /// let variable = |name: &str| (name == "PGHOST").then(|| "db.example.com".into());
    /// let address = PostgresAddress::read("postgres://pylon@/events", variable)?;
    /// assert_eq!(address.to_string(), "postgres://pylon@db.example.com:5432/events");
    /// # Ok::<(), String>(())
    /// ```
    ///
    /// # Errors
    /// A sentence with what was expected and what was found, never with a part of a password.
    pub fn read(url: &str, variable: impl Fn(&str) -> Option<OsString>) -> Result<Self, String> {
        Settings::of(url::split(url)?, variable)?.into_address()
    }

    /// Whether a text is meant as such an address, by its beginning.
    pub fn is_meant(text: &str) -> bool {
        url::without_scheme(text).is_some()
    }
}

impl FromStr for PostgresAddress {
    type Err = String;

    /// [`read`](Self::read) with the environment of the process.
    fn from_str(url: &str) -> Result<Self, String> {
        Self::read(url, |name| std::env::var_os(name))
    }
}
