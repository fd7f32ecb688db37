//! A configuration as the file would say it, with nothing left to defaults.

use super::{
    Authentication, Config, Deduplication, DestinationConfig, EndpointConfig, LogFormat, SecretSource, Signing,
    TransportConfig, show_bytes, show_duration,
};
use pylon_webhooks::{NameSource, ReplayRule, TimestampRule};
use std::fmt::Write;
use std::path::Path;
use std::time::Duration;

/// Writes a configuration as TOML, every default filled in; [`parse`](super::parse) reads the same from it again. Of secrets it
/// tells where they come from; those that a program gave, and its handlers, are a comment.
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
    let mut page = Page::default();
    page.key("listen", quote(&config.listen.to_string()));
    page.key("admin", quote(&config.admin.to_string()));
    if let Some(token) = &config.admin_token {
        page.secret("admin_token", token);
    }
    page.key("ledger", quote(&config.ledger.to_string()));
    page.key("log", quote(if config.log == LogFormat::Json { "json" } else { "text" }));
    page.optional("traces", config.traces.as_ref().map(|url| quote(&url.to_string())));
    if let Some(tls) = &config.tls {
        page.table("[tls]");
        page.key("certificate", quote_path(&tls.certificate));
        page.key("key", quote_path(&tls.key));
    }
    let limits = &config.limits;
    page.table("[limits]");
    page.key("connections", limits.connections);
    page.duration("header_timeout", limits.header_timeout);
    page.duration("body_timeout", limits.body_timeout);
    page.key("keep_alive_requests", limits.keep_alive_requests);
    page.key("queue", limits.queue);
    page.duration("shutdown_timeout", limits.shutdown_timeout);
    page.table("[retention]");
    page.key("delivered", quote(&config.retention.delivered.map_or_else(|| "forever".to_owned(), show_duration)));
    page.key("refused", config.retention.refused);
    for endpoint in &config.endpoints {
        page.endpoint(endpoint);
    }
    for destination in &config.destinations {
        page.destination(destination);
    }
    page.0
}

#[derive(Default)]
struct Page(String);

impl Page {
    fn line(&mut self, line: impl AsRef<str>) {
        self.0 += line.as_ref();
        self.0.push('\n');
    }

    fn table(&mut self, header: &str) {
        self.line("");
        self.line(header);
    }

    fn key(&mut self, key: &str, value: impl std::fmt::Display) {
        self.line(format!("{key} = {value}"));
    }

    fn optional(&mut self, key: &str, value: Option<impl std::fmt::Display>) {
        if let Some(value) = value {
            self.key(key, value);
        }
    }

    fn duration(&mut self, key: &str, duration: Duration) {
        self.key(key, quote(&show_duration(duration)));
    }

    fn secret(&mut self, key: &str, secret: &SecretSource) {
        match source(secret) {
            Some(source) => self.key(key, format!("{{ {source} }}")),
            None => self.line(format!("# {key}: given by the program")),
        }
    }

    fn endpoint(&mut self, endpoint: &EndpointConfig) {
        self.table("[[endpoint]]");
        self.key("name", quote(&endpoint.name));
        self.key("path", quote(&endpoint.path));
        self.authentication(&endpoint.authentication);
        let limit = show_bytes(endpoint.body_limit);
        // Without a unit it is a TOML integer.
        self.key("body_limit", if limit.ends_with('B') { quote(&limit) } else { limit });
        match &endpoint.kind {
            NameSource::Keys => {}
            NameSource::Pointer(pointer) => self.key("kind_pointer", quote(pointer)),
            NameSource::Fixed(name) => self.key("kind", quote(name)),
        }
        self.key("deduplication", deduplication(&endpoint.deduplication));
        self.optional("rate", endpoint.rate.map(|rate| format!("{rate:?}")));
    }

    fn authentication(&mut self, authentication: &Authentication) {
        match &authentication.signature {
            None => self.key("signature", quote("none")),
            Some(rule) => {
                self.key("signature", quote("required"));
                let shown: Vec<_> = rule.secrets.iter().filter_map(source).map(|one| format!("{{ {one} }}")).collect();
                let given = rule.secrets.len() - shown.len();
                let comment = if given > 0 { format!(" # and {given} given by the program") } else { String::new() };
                self.key("secrets", format!("[{}]{comment}", shown.join(", ")));
                let timestamp = match rule.timestamp {
                    TimestampRule::Optional => "optional",
                    TimestampRule::Required => "required",
                };
                self.key("timestamp", quote(timestamp));
                self.duration("tolerance", rule.tolerance);
            }
        }
        if let Some(header) = &authentication.header {
            let name = quote(header.name.as_str());
            match source(&header.value) {
                Some(source) => self.key("header", format!("{{ name = {name}, {source} }}")),
                None => self.line(format!("# header {name}: given by the program")),
            }
        }
    }

    fn destination(&mut self, destination: &DestinationConfig) {
        self.table("[[destination]]");
        self.key("name", quote(&destination.name));
        self.transport(&destination.transport);
        self.key("kinds", array(&destination.kinds));
        self.key("endpoints", array(&destination.endpoints));
        self.duration("timeout", destination.timeout);
        self.key("concurrency", destination.concurrency);
        self.optional("rate", destination.rate.map(|rate| format!("{rate:?}")));
        self.optional("order_by", destination.order_by.as_deref().map(quote));
        self.table("[destination.retry]");
        self.key("attempts", destination.retry.attempts);
        self.duration("age", destination.retry.age);
        self.duration("first_delay", destination.retry.first_delay);
        self.duration("longest_delay", destination.retry.longest_delay);
        self.table("[destination.circuit]");
        self.key("failures", destination.circuit.failures);
        self.duration("first_pause", destination.circuit.first_pause);
        self.duration("longest_pause", destination.circuit.longest_pause);
    }

    fn transport(&mut self, transport: &TransportConfig) {
        match transport {
            TransportConfig::Http { url, headers, signing } => {
                self.key("url", quote(&url.to_string()));
                let (sign, secret) = match signing {
                    Signing::AsReceived => ("as-received", None),
                    Signing::Pylon(secret) => ("pylon", Some(secret)),
                    Signing::StandardWebhooks(secret) => ("standard-webhooks", Some(secret)),
                };
                self.key("sign", quote(sign));
                if let Some(secret) = secret {
                    self.secret("secret", secret);
                }
                self.headers(headers.iter().map(|(name, value)| (name.as_str(), value)));
            }
            TransportConfig::Command { command, environment } => {
                self.key("command", array(command));
                self.key("environment", array(environment));
            }
            TransportConfig::JsonLines { path } => self.key("jsonl", quote_path(path)),
            TransportConfig::Handlers(_) => self.line("# delivered to handlers of the program"),
        }
    }

    fn headers<'h>(&mut self, headers: impl Iterator<Item = (&'h str, &'h SecretSource)>) {
        let (mut shown, mut given) = (Vec::new(), Vec::new());
        for (name, value) in headers {
            let name = quote(name);
            match (value, source(value)) {
                (SecretSource::Plain(text), _) => shown.push(format!("{name} = {}", quote(text))),
                (_, Some(source)) => shown.push(format!("{name} = {{ {source} }}")),
                (_, None) => given.push(name),
            }
        }
        let shown = if shown.is_empty() { "{}".to_owned() } else { format!("{{ {} }}", shown.join(", ")) };
        self.key("headers", shown);
        for name in given {
            self.line(format!("# header {name}: given by the program"));
        }
    }
}

/// Where a secret comes from, without the braces; none where a program gave it.
fn source(secret: &SecretSource) -> Option<String> {
    match secret {
        SecretSource::Environment(name) => Some(format!("env = {}", quote(name))),
        SecretSource::File(path) => Some(format!("file = {}", quote_path(path))),
        // Only a header's value may stand plainly.
        SecretSource::Plain(_) | SecretSource::Given(_) => None,
    }
}

fn deduplication(deduplication: &Deduplication) -> String {
    let window = |key: &str, window: Duration| format!("{key} = {}", quote(&show_duration(window)));
    match deduplication {
        Deduplication::Off => quote("off"),
        Deduplication::Rule(ReplayRule::Pointer { pointer, window: None }) => {
            format!("{{ pointer = {} }}", quote(pointer))
        }
        Deduplication::Rule(ReplayRule::Pointer { pointer, window: Some(time) }) => {
            format!("{{ pointer = {}, {} }}", quote(pointer), window("window", *time))
        }
        Deduplication::Rule(ReplayRule::BodyHash { window: time }) => format!("{{ {} }}", window("body_window", *time)),
        // A rule that the file cannot say is refused by `check`.
        Deduplication::ExactRequest | Deduplication::Rule(_) => quote("exact"),
    }
}

fn array(texts: &[String]) -> String {
    let quoted: Vec<_> = texts.iter().map(|text| quote(text)).collect();
    format!("[{}]", quoted.join(", "))
}

fn quote_path(path: &Path) -> String {
    quote(&path.display().to_string())
}

/// A text as a basic string of TOML.
fn quote(text: &str) -> String {
    let mut quoted = String::from('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            _ if character.is_control() => {
                write!(quoted, "\\u{:04X}", u32::from(character)).expect("a String takes whatever is written");
            }
            _ => quoted.push(character),
        }
    }
    quoted + "\""
}
