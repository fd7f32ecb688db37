//! The configuration file: read, written and documented.

use super::declare::{Change, Entry, Key, Section, Shown};
use super::destination::{
    CommandTransport, DestinationConfig, HttpTransport, JsonLinesTransport, NatsTransport, TransportConfig,
};
use super::endpoint::{DEFAULT_PATH, DEFAULT_SECRET_VARIABLE, EndpointConfig};
use super::fault::{ConfigFault, Place};
use super::operator::OperatorConfig;
use super::receiver::{Config, Tls};
use super::rules::rules;
use super::secret::SecretSource;
use super::table::{Reading, Table};
use std::fmt::Write;

/// Reads a configuration file. Keys that are not in the file have the default of [`Config::default`]. Without any `[[endpoint]]`
/// there is one at [`DEFAULT_PATH`], with the secret in the environment variable [`DEFAULT_SECRET_VARIABLE`]; but none if the role of
/// the receiver is only to deliver.
///
/// `parse` reads the text only, no secrets and no certificates.
///
/// ```
/// use pylon_receiver::config::parse;
///
/// let config = parse("[[destination]]\nname = \"app\"\nurl = \"http://127.0.0.1:3000/webhook\"")?;
/// assert_eq!(config.endpoints[0].path, "/webhook");
///
/// let fault = parse("lisen = \"127.0.0.1:80\"").unwrap_err();
/// assert_eq!(fault.to_string(), "line 1: unknown key `lisen`: did you mean `listen`?");
/// # Ok::<(), pylon_receiver::config::ConfigFault>(())
/// ```
///
/// # Errors
/// [`ConfigFault`]: everything that is wrong, each fault with its line.
pub fn parse(text: &str) -> Result<Config, ConfigFault> {
    let known = known().into_iter().map(|entry| (entry.place, entry.key.name)).collect();
    let (reading, document) = Reading::new(text, known)?;
    let mut table = Table::top(&reading, document);
    let has_endpoints = table.has("endpoint");
    let mut config = Config::read(&mut table);
    table.finish();
    config.endpoints = config.endpoints.into_iter().map(EndpointConfig::named).collect();
    if !has_endpoints && config.role.accepts() {
        let secret = SecretSource::Environment(DEFAULT_SECRET_VARIABLE.to_owned());
        config.endpoints.push(EndpointConfig::signed(DEFAULT_PATH, [secret]));
    }
    reading.end(rules(&config))?;
    Ok(config)
}

/// Writes a configuration as TOML with every default filled in. [`parse`] reads the same configuration from it again. A secret is
/// shown as the place where it comes from. What a program gave, a secret or handlers, is a comment.
///
/// ```
/// use pylon_receiver::config::{parse, show};
///
/// let shown = show(&parse("")?);
/// assert!(shown.contains(r#"secrets = [{ env = "PYLON_WEBHOOK_SECRET" }]"#));
/// assert_eq!(show(&parse(&shown)?), shown);
/// # Ok::<(), pylon_receiver::config::ConfigFault>(())
/// ```
pub fn show(config: &Config) -> String {
    let lines = entries(config).into_iter().filter_map(|Entry { key, shown, .. }| match shown {
        Shown::Value(value) => Some(format!("{} = {value}\n", key.name)),
        Shown::Given => Some(format!("# {}: given by the program\n", key.name)),
        Shown::Table(header) => Some(format!("\n{header}\n")),
        Shown::Absent => None,
    });
    lines.collect()
}

/// The keys, such as `limits.queue`, that differ between two configurations and change with a restart only. `admin_token` is not
/// among them, because its value counts and not its source.
pub fn restarts(old: &Config, new: &Config) -> Vec<String> {
    let (old, new) = (entries(old), entries(new));
    let fixed = known().into_iter().filter(|entry| entry.key.change == Change::Restart);
    let differs = |entry: &Entry| {
        let shown = |entries: &'_ [Entry]| {
            let same = |found: &&Entry| (found.place, found.key) == (entry.place, entry.key);
            entries.iter().find(same).map(|found| found.shown.clone())
        };
        shown(&old) != shown(&new)
    };
    fixed.filter(differs).map(|entry| path(entry.place, entry.key)).collect()
}

/// Documents every key of the file in a Markdown table.
///
/// ```
/// assert!(pylon_receiver::config::reference().contains("| `listen` | address | `127.0.0.1:8080` |"));
/// ```
pub fn reference() -> String {
    let mut text = "| Key | Type | Default | Meaning |\n| --- | --- | --- | --- |\n".to_owned();
    for Entry { place, key, kind, shown, has_default, .. } in known() {
        let default = match shown {
            Shown::Value(value) if has_default => format!("`{}`", value.trim_matches('"')),
            Shown::Table(_) => String::new(),
            _ => "none".to_owned(),
        };
        let restart = if key.change == Change::Restart { " Needs a restart." } else { "" };
        let (name, doc) = (path(place, key), key.doc.trim());
        writeln!(text, "| `{name}` | {kind} | {default} | {doc}{restart} |").expect("a String takes any text");
    }
    text
}

/// A key with its table, such as `limits.queue`.
fn path(place: Place, key: &Key) -> String {
    let table = place.table.trim_matches(['[', ']']);
    if table.is_empty() { key.name.to_owned() } else { format!("{table}.{}", key.name) }
}

fn entries(config: &Config) -> Vec<Entry> {
    let mut entries = Vec::new();
    config.visit(Place::TOP, &mut entries);
    entries
}

/// Every key of the file with its default, in the order of the declarations.
fn known() -> Vec<Entry> {
    let http = TransportConfig::Http(HttpTransport::default());
    let config = Config::default()
        .tls(Some(Tls::default()))
        .operators(vec![OperatorConfig::default()])
        .endpoints(vec![EndpointConfig::default()])
        .destinations(vec![DestinationConfig::new("", http)]);
    let mut known = entries(&config);
    // A destination has one transport; the reference has the keys of all.
    let mut others = Vec::new();
    let place = Place::entry("[[destination]]", 0);
    CommandTransport::default().visit(place, &mut others);
    JsonLinesTransport::default().visit(place, &mut others);
    NatsTransport::default().visit(place, &mut others);
    // Some keys belong to two transports.
    others.retain(|other| known.iter().all(|entry| entry.place != place || entry.key.name != other.key.name));
    let after = HttpTransport::names().pop();
    let at = known.iter().position(|entry| entry.place == place && Some(entry.key.name) == after);
    let at = at.map_or(known.len(), |at| at + 1);
    known.splice(at..at, others);
    known
}
