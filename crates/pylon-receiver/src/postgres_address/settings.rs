//! The settings of a connection, from the URL and the environment, and what they mean.

use super::address::{
    DEFAULT_APPLICATION, DEFAULT_SCHEMA, DEFAULT_TIMEOUT, PostgresAddress, PostgresHost, PostgresTls,
};
use super::url::Parts;
use crate::text::{nearest, one_of, quoted};
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;
use zeroize::Zeroizing;

/// Every setting with the variable from which it comes if the URL does not have it.
const KNOWN: [(&str, Option<&str>); 15] = [
    ("host", Some("PGHOST")),
    ("port", Some("PGPORT")),
    ("user", Some("PGUSER")),
    ("password", Some("PGPASSWORD")),
    ("dbname", Some("PGDATABASE")),
    ("schema", None),
    ("sslmode", Some("PGSSLMODE")),
    ("sslrootcert", Some("PGSSLROOTCERT")),
    ("sslcert", Some("PGSSLCERT")),
    ("sslkey", Some("PGSSLKEY")),
    ("channel_binding", Some("PGCHANNELBINDING")),
    ("target_session_attrs", Some("PGTARGETSESSIONATTRS")),
    ("application_name", Some("PGAPPNAME")),
    ("connect_timeout", Some("PGCONNECT_TIMEOUT")),
    ("hostaddr", Some("PGHOSTADDR")),
];

/// Where the server of this machine usually has its socket.
const USUAL_FOLDER: &str = "/var/run/postgresql";
const USUAL_PORT: u16 = 5432;
/// The longest name that PostgreSQL takes, in bytes.
const LONGEST_NAME: usize = 63;
const LONGEST_TIMEOUT: u64 = 60;

/// The settings that are said.
pub(super) struct Settings(Vec<Setting>);

struct Setting {
    name: &'static str,
    /// Where it stands, for error messages.
    place: String,
    value: Zeroizing<String>,
}

impl Settings {
    /// Those of the URL, completed by the environment.
    pub(super) fn of(parts: Parts, variable: impl Fn(&str) -> Option<OsString>) -> Result<Self, String> {
        let mut settings = Vec::new();
        for (name, value) in parts {
            let Some((known, _)) = KNOWN.into_iter().find(|(known, _)| *known == name) else {
                let advice = nearest(&name, KNOWN.map(|(known, _)| known));
                let advice = advice.map(|known| format!(": did you mean `{known}`?")).unwrap_or_default();
                return Err(format!("expected a parameter that a ledger knows, found {}{advice}", quoted(&name)));
            };
            settings.push(Setting { name: known, place: format!("`{known}`"), value });
        }
        for (name, source) in KNOWN {
            let is_said = settings.iter().any(|setting| setting.name == name);
            let Some(source) = source.filter(|_| !is_said) else { continue };
            let Some(value) = variable(source).filter(|value| !value.is_empty()) else { continue };
            let place = format!("environment variable {source}");
            let value = value.into_string().map_err(|_| format!("{place}: expected UTF-8, found other bytes"))?;
            settings.push(Setting { name, place, value: Zeroizing::new(value) });
        }
        Ok(Self(settings))
    }

    pub(super) fn into_address(self) -> Result<PostgresAddress, String> {
        if let Some(setting) = self.get("hostaddr") {
            return Err(setting.wrong("expected none, found one; give the address as the host"));
        }
        if let Some(setting) = self.get("target_session_attrs").filter(|setting| *setting.value != "read-write") {
            return Err(setting.wrong(&format!(
                "expected `read-write`, since a ledger is written to, found {}; leave it out",
                quoted(&setting.value)
            )));
        }
        let user = self.text("user").ok_or("expected a user, found none; name one in the URL or in PGUSER")?;
        Ok(PostgresAddress {
            hosts: self.hosts()?,
            database: self.text("dbname").unwrap_or_else(|| user.clone()),
            user,
            schema: self.schema()?,
            tls: self.tls()?,
            application_name: self.application_name()?,
            connect_timeout: self.connect_timeout()?,
            password: self.get("password").map(|setting| setting.value.clone()),
        })
    }

    fn get(&self, name: &str) -> Option<&Setting> {
        self.0.iter().find(|setting| setting.name == name)
    }

    fn text(&self, name: &str) -> Option<String> {
        self.get(name).map(|setting| setting.value.to_string())
    }

    fn hosts(&self) -> Result<Vec<PostgresHost>, String> {
        let names = self.text("host").unwrap_or_else(|| USUAL_FOLDER.to_owned());
        let names: Vec<_> = names.split(',').collect();
        let mut ports = match self.get("port") {
            None => vec![USUAL_PORT],
            Some(setting) => setting.value.split(',').map(|port| read_port(setting, port)).collect::<Result<_, _>>()?,
        };
        if ports.len() == 1 {
            ports.resize(names.len(), ports[0]);
        }
        if ports.len() != names.len() {
            let (hosts, ports) = (names.len(), ports.len());
            return Err(format!("expected one port, or one for each of {hosts} hosts, found {ports} ports"));
        }
        if names.iter().any(|name| name.is_empty()) {
            return Err("expected hosts with commas between them, found an empty one".to_owned());
        }
        let host = |(name, port): (&str, u16)| match name.starts_with('/') {
            true => PostgresHost::Socket { folder: name.into(), port },
            false => PostgresHost::Tcp { name: name.into(), port },
        };
        Ok(names.into_iter().zip(ports).map(host).collect())
    }

    fn schema(&self) -> Result<String, String> {
        let Some(setting) = self.get("schema") else { return Ok(DEFAULT_SCHEMA.to_owned()) };
        let name = setting.value.as_str();
        let is_name = name.len() <= LONGEST_NAME
            && !name.starts_with(|first: char| first.is_ascii_digit())
            && !name.starts_with("pg_")
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        match is_name {
            true => Ok(name.to_owned()),
            false => Err(setting.wrong(&format!(
                "expected letters, digits and `_`, no digit and no `pg_` first, {LONGEST_NAME} at most, found {}",
                quoted(name)
            ))),
        }
    }

    fn tls(&self) -> Result<PostgresTls, String> {
        let file = |name| self.text(name).map(PathBuf::from);
        let is_used = match self.get("sslmode").map(|setting| (setting, setting.value.as_str())) {
            None => None,
            Some((_, "disable")) => Some(false),
            // `require` alone would take any certificate, also that of somebody in between.
            Some((_, "verify-full" | "require")) => Some(true),
            Some((setting, found)) => {
                let advice = match found {
                    "allow" | "prefer" => "it would go on without TLS where somebody in between refuses it",
                    "verify-ca" => "it would take the certificate of another server",
                    _ => "there is no other",
                };
                let (expected, found) = (one_of(["verify-full", "disable"]), quoted(found));
                return Err(setting.wrong(&format!("expected {expected}, found {found}: {advice}")));
            }
        };
        let client = match (file("sslcert"), file("sslkey")) {
            (Some(certificate), Some(key)) => Some((certificate, key)),
            (None, None) => None,
            _ => return Err("expected both `sslcert` and `sslkey`, or none, found one".to_owned()),
        };
        let binds_channel = match self.get("channel_binding").map(|setting| (setting, setting.value.as_str())) {
            None | Some((_, "prefer")) => false,
            Some((_, "require")) => true,
            Some((setting, found)) => {
                let expected = one_of(["prefer", "require"]);
                return Err(setting.wrong(&format!("expected {expected}, found {}", quoted(found))));
            }
        };
        let authorities = file("sslrootcert").filter(|path| path.as_os_str() != "system");
        Ok(PostgresTls { is_used, authorities, client, binds_channel })
    }

    fn application_name(&self) -> Result<String, String> {
        let Some(setting) = self.get("application_name") else { return Ok(DEFAULT_APPLICATION.to_owned()) };
        match setting.value.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
            true => Ok(setting.value.to_string()),
            false => Err(setting.wrong("expected printable ASCII, found another character")),
        }
    }

    fn connect_timeout(&self) -> Result<Duration, String> {
        let Some(setting) = self.get("connect_timeout") else { return Ok(DEFAULT_TIMEOUT) };
        match setting.value.parse() {
            Ok(seconds @ 1..=LONGEST_TIMEOUT) => Ok(Duration::from_secs(seconds)),
            _ => {
                let found = quoted(&setting.value);
                Err(setting.wrong(&format!("expected whole seconds from 1 to {LONGEST_TIMEOUT}, found {found}")))
            }
        }
    }
}

impl Setting {
    fn wrong(&self, fault: &str) -> String {
        format!("{}: {fault}", self.place)
    }
}

fn read_port(setting: &Setting, port: &str) -> Result<u16, String> {
    match port.parse() {
        // One of several may be left out.
        _ if port.is_empty() => Ok(USUAL_PORT),
        Ok(port) if port > 0 => Ok(port),
        _ => Err(setting.wrong("expected a port from 1 to 65535, found another one")),
    }
}
