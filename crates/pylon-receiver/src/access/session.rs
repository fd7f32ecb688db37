//! Sessions of the page: a cookie that the token signs, so that nothing is kept here and a restart ends none.

use crate::time::Moment;
use hmac::{Hmac, KeyInit, Mac};
use http::header::{COOKIE, HeaderMap};
use sha2::Sha256;
use std::fmt::Write;
use std::time::Duration;
use subtle::ConstantTimeEq;

/// How long a session lasts.
const LASTS: Duration = Duration::from_secs(12 * 3600);
/// What the names of all cookies begin with.
const PREFIX: &str = "pylon_receiver_";

/// What signs the sessions of one operator.
pub(super) struct SessionKey {
    key: Hmac<Sha256>,
    /// Cookies do not tell ports apart: receivers on one host have other tokens, and so other names.
    cookie: String,
}

impl SessionKey {
    pub(super) fn new(token: &[u8]) -> Self {
        let key = Hmac::<Sha256>::new_from_slice(token).expect("HMAC takes a key of any length");
        let name = signed(&key, "cookie");
        Self { cookie: format!("{PREFIX}{}", &name[..8]), key }
    }

    /// The header `set-cookie` that begins a session. Without a path, a browser sends it to the pages beside that which set it, whatever
    /// prefix a proxy gives them.
    pub(super) fn begin(&self, now: Moment, is_https: bool) -> String {
        let until = now.after(LASTS).unix_seconds();
        let mac = self.mac(until);
        let secure = if is_https { "; Secure" } else { "" };
        // Strict would ask for the token again after each link from elsewhere.
        let (name, age) = (&self.cookie, LASTS.as_secs());
        format!("{name}={until}.{mac}; HttpOnly; SameSite=Lax; Max-Age={age}{secure}")
    }

    /// The header `set-cookie` that ends the session.
    pub(super) fn end(&self) -> String {
        format!("{}=; HttpOnly; SameSite=Lax; Max-Age=0", self.cookie)
    }

    /// Whether a session that has not ended is shown.
    pub(super) fn is_shown(&self, headers: &HeaderMap, now: Moment) -> bool {
        cookies(headers).filter(|(name, _)| *name == self.cookie).any(|(_, value)| {
            let Some((until, mac)) = value.split_once('.') else { return false };
            let Ok(until) = until.parse() else { return false };
            let is_signed: bool = mac.as_bytes().ct_eq(self.mac(until).as_bytes()).into();
            is_signed && now.unix_seconds() < until
        })
    }

    fn mac(&self, until: u64) -> String {
        signed(&self.key, &format!("session until {until}"))
    }
}

/// Whether there is a session of any receiver.
pub(super) fn is_any_shown(headers: &HeaderMap) -> bool {
    cookies(headers).any(|(name, _)| name.starts_with(PREFIX))
}

fn cookies(headers: &HeaderMap) -> impl Iterator<Item = (&str, &str)> {
    let values = headers.get_all(COOKIE).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='))
}

fn signed(key: &Hmac<Sha256>, text: &str) -> String {
    let mac = key.clone().chain_update(text).finalize().into_bytes();
    mac.iter().fold(String::new(), |mut hex, byte| {
        // Writing to a `String` never fails.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}
