//! The configuration file: TOML, read strictly, all faults told at once.

use super::check::faults;
use super::fault::ConfigFault;
use super::place::Place;
use super::table::{Reading, Table};
use super::value::{
    choice, count, duration, file, found, header_name, headers, parsed, rate, size, socket_address, source, sources,
    text, texts, url, variable, variables,
};
use super::{
    Config, DEFAULT_PATH, DEFAULT_SECRET_VARIABLE, Deduplication, DestinationConfig, EndpointConfig, LogFormat,
    RequiredHeader, SecretSource, Signing, Tls, TransportConfig,
};
use pylon_webhooks::{NameSource, ReplayRule, TimestampRule};
use std::time::Duration;
use toml::de::DeValue;

/// Reads a configuration file. What it does not say is as in [`Config::default`]; without any `[[endpoint]]` there is one at
/// [`DEFAULT_PATH`], with the secret in the environment variable [`DEFAULT_SECRET_VARIABLE`].
///
/// Nothing but the text is read: whether secrets and certificates are there turns out later.
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
/// [`ConfigFault`]: everything that is wrong, each with its line.
pub fn parse(text: &str) -> Result<Config, ConfigFault> {
    let (reading, document) = Reading::new(text)?;
    let mut table = Table::top(&reading, document);
    let mut config = Config::default();

    table.set("listen", &mut config.listen, socket_address);
    table.set("admin", &mut config.admin, socket_address);
    config.admin_token = table.get("admin_token", source);
    table.set("ledger", &mut config.ledger, parsed(str::parse));
    table.set("log", &mut config.log, choice(&[("text", LogFormat::Text), ("json", LogFormat::Json)]));
    config.traces = table.get("traces", url);
    config.tls = table.table("tls", Place::Tls).and_then(tls);
    if let Some(limits) = table.table("limits", Place::Limits) {
        self::limits(limits, &mut config);
    }
    if let Some(retention) = table.table("retention", Place::Retention) {
        self::retention(retention, &mut config);
    }
    let has_endpoints = table.has("endpoint");
    config.endpoints = table
        .tables("endpoint", Place::Endpoint)
        .into_iter()
        .enumerate()
        .map(|(i, table)| endpoint(i, table))
        .collect();
    if !has_endpoints {
        let secret = SecretSource::Environment(DEFAULT_SECRET_VARIABLE.to_owned());
        config.endpoints.push(EndpointConfig::signed(DEFAULT_PATH, [secret]));
    }
    let destinations = table.tables("destination", Place::Destination);
    config.destinations = destinations.into_iter().enumerate().map(|(i, table)| destination(i, table)).collect();
    table.finish();

    reading.end(faults(&config))?;
    Ok(config)
}

fn tls(mut table: Table<'_, '_>) -> Option<Tls> {
    for key in ["certificate", "key"] {
        if !table.has(key) {
            table.fault(None, format!("expected `{key}`, found none"));
        }
    }
    let certificate = table.get("certificate", file);
    let key = table.get("key", file);
    table.finish();
    Some(Tls { certificate: certificate?, key: key? })
}

fn limits(mut table: Table<'_, '_>, config: &mut Config) {
    let limits = &mut config.limits;
    table.set("connections", &mut limits.connections, count);
    table.set("header_timeout", &mut limits.header_timeout, duration);
    table.set("body_timeout", &mut limits.body_timeout, duration);
    table.set("keep_alive_requests", &mut limits.keep_alive_requests, count);
    table.set("queue", &mut limits.queue, count);
    table.set("shutdown_timeout", &mut limits.shutdown_timeout, duration);
    table.finish();
}

fn retention(mut table: Table<'_, '_>, config: &mut Config) {
    table.set("delivered", &mut config.retention.delivered, |value| match &value {
        DeValue::String(text) if text == "forever" => Ok(None),
        DeValue::String(_) => duration(value).map(Some).map_err(|error| error + ", or the word `forever`"),
        other => Err(format!("expected a duration such as `30d`, or `forever`, found {}", found(other))),
    });
    table.set("refused", &mut config.retention.refused, count);
    table.finish();
}

fn endpoint(index: usize, mut table: Table<'_, '_>) -> EndpointConfig {
    let path = table.get("path", text).unwrap_or_else(|| DEFAULT_PATH.to_owned());
    let is_signed = table.get("signature", choice(&[("required", true), ("none", false)])).unwrap_or(true);
    if !is_signed {
        for key in ["secrets", "timestamp", "tolerance"] {
            table.refuse(key, "expected only where there is a signature, found beside `signature = \"none\"`");
        }
    }
    let mut endpoint = EndpointConfig::signed(path, table.get("secrets", sources).unwrap_or_default());
    if let Some(rule) = &mut endpoint.authentication.signature {
        let timestamps = [("optional", TimestampRule::Optional), ("required", TimestampRule::Required)];
        table.set("timestamp", &mut rule.timestamp, choice(&timestamps));
        table.set("tolerance", &mut rule.tolerance, duration);
    }
    if !is_signed {
        endpoint.authentication.signature = None;
    }
    endpoint.authentication.header = table.table("header", Place::Header(index)).and_then(required_header);
    table.set("name", &mut endpoint.name, |value| text(value).map(Into::into));
    table.set("body_limit", &mut endpoint.body_limit, size);
    table.set("kind", &mut endpoint.kind, |value| text(value).map(|name| NameSource::Fixed(name.into())));
    if let (NameSource::Fixed(_), true) = (&endpoint.kind, table.has("kind_pointer")) {
        table.refuse("kind_pointer", "expected either `kind` or `kind_pointer`, found both");
    }
    table.set("kind_pointer", &mut endpoint.kind, |value| pointer(value).map(NameSource::Pointer));
    deduplication(index, &mut table, &mut endpoint);
    endpoint.rate = table.get("rate", rate);
    table.finish();
    endpoint
}

fn required_header(mut table: Table<'_, '_>) -> Option<RequiredHeader> {
    if !table.has("name") {
        table.fault(None, "expected `name`, found none");
    }
    let name = table.get("name", header_name);
    let has_env = table.has("env");
    if table.has("value") {
        table.fault(None, "expected `env` or `file`, found `value`; a secret does not belong into this file");
        table.pass_over("value");
    } else if has_env == table.has("file") {
        let found = if has_env { "both" } else { "none" };
        table.fault(None, format!("expected either `env` or `file`, where the value is to be read, found {found}"));
    }
    let variable = table.get("env", variable).map(SecretSource::Environment);
    let file = table.get("file", file).map(SecretSource::File);
    table.finish();
    Some(RequiredHeader { name: name?, value: variable.or(file)? })
}

fn deduplication(index: usize, table: &mut Table<'_, '_>, endpoint: &mut EndpointConfig) {
    if !table.holds_table("deduplication") {
        let words = [("exact", Deduplication::ExactRequest), ("off", Deduplication::Off)];
        table.set("deduplication", &mut endpoint.deduplication, |value| match &value {
            DeValue::String(_) => choice(&words)(value),
            other => Err(format!("expected `exact`, `off` or a table, found {}", found(other))),
        });
        return;
    }
    let Some(mut table) = table.table("deduplication", Place::Deduplication(index)) else { return };
    let has_pointer = table.has("pointer");
    if has_pointer == table.has("body_window") {
        let found = if has_pointer { "both" } else { "none" };
        table.fault(None, format!("expected either `pointer` or `body_window`, found {found}"));
    }
    if !has_pointer {
        table.refuse("window", "expected only beside `pointer`, found without it");
    }
    let window = table.get("window", duration);
    let pointer = table.get("pointer", pointer).map(|pointer| ReplayRule::Pointer { pointer, window });
    let body = table.get("body_window", duration).map(|window| ReplayRule::BodyHash { window });
    if let Some(rule) = pointer.or(body) {
        endpoint.deduplication = Deduplication::Rule(rule);
    }
    table.finish();
}

fn pointer(value: DeValue<'_>) -> Result<Box<str>, String> {
    text(value).map(Into::into)
}

fn destination(index: usize, mut table: Table<'_, '_>) -> DestinationConfig {
    if !table.has("name") {
        table.fault(None, "expected `name`, found none");
    }
    let name = table.get("name", text).unwrap_or_default();
    let transport = transport(&mut table);
    let mut destination = DestinationConfig::new(name, transport);
    table.set("kinds", &mut destination.kinds, texts);
    table.set("endpoints", &mut destination.endpoints, texts);
    table.set("timeout", &mut destination.timeout, duration);
    table.set("concurrency", &mut destination.concurrency, count);
    destination.rate = table.get("rate", rate);
    destination.order_by = table.get("order_by", text);
    if let Some(mut table) = table.table("retry", Place::Retry(index)) {
        let retry = &mut destination.retry;
        table.set("attempts", &mut retry.attempts, count);
        table.set("age", &mut retry.age, duration);
        delays(&mut table, ["first_delay", "longest_delay"], &mut retry.first_delay, &mut retry.longest_delay);
        table.finish();
    }
    if let Some(mut table) = table.table("circuit", Place::Circuit(index)) {
        let circuit = &mut destination.circuit;
        table.set("failures", &mut circuit.failures, count);
        delays(&mut table, ["first_pause", "longest_pause"], &mut circuit.first_pause, &mut circuit.longest_pause);
        table.finish();
    }
    table.finish();
    destination
}

fn delays(table: &mut Table<'_, '_>, keys: [&'static str; 2], first: &mut Duration, longest: &mut Duration) {
    table.set(keys[0], first, duration);
    table.set(keys[1], longest, duration);
}

/// The keys that belong to one transport alone.
const OWN_KEYS: [(&str, &[&str]); 3] =
    [("url", &["sign", "secret", "headers"]), ("command", &["environment"]), ("jsonl", &[])];

fn transport(table: &mut Table<'_, '_>) -> TransportConfig {
    let given: Vec<_> = OWN_KEYS.iter().map(|&(key, _)| key).filter(|&key| table.has(key)).collect();
    let chosen = match given.as_slice() {
        &[one] => Some(one),
        [] => {
            table.fault(None, "expected one of `url`, `command` and `jsonl`, found none");
            None
        }
        several => {
            let found: Vec<_> = several.iter().map(|key| format!("`{key}`")).collect();
            table.fault(None, format!("expected one of `url`, `command` and `jsonl`, found {}", found.join(" and ")));
            None
        }
    };
    if let Some(chosen) = chosen {
        for &(owner, keys) in OWN_KEYS.iter().filter(|&&(owner, _)| owner != chosen) {
            for key in keys {
                table.refuse(key, &format!("expected only beside `{owner}`, found beside `{chosen}`"));
            }
        }
    }
    let signing = signing(table);
    let headers = table.get("headers", headers).unwrap_or_default();
    let environment = table.get("environment", variables).unwrap_or_default();
    let url = table.get("url", url).unwrap_or_default();
    let command = table.get("command", texts).unwrap_or_default();
    let path = table.get("jsonl", file).unwrap_or_default();
    // Where something was wrong, any of them will do: the fault is noted, and so nobody sees it.
    match chosen {
        Some("command") => TransportConfig::Command { command, environment },
        Some("jsonl") => TransportConfig::JsonLines { path },
        _ => TransportConfig::Http { url, headers, signing },
    }
}

fn signing(table: &mut Table<'_, '_>) -> Signing {
    #[derive(Clone, Copy)]
    enum Sign {
        Pylon,
        StandardWebhooks,
        AsReceived,
    }
    let words =
        [("pylon", Sign::Pylon), ("standard-webhooks", Sign::StandardWebhooks), ("as-received", Sign::AsReceived)];
    let (has_sign, has_secret) = (table.has("sign"), table.has("secret"));
    let sign = table.get("sign", choice(&words));
    let secret = table.get("secret", source);
    match (sign, secret) {
        (Some(Sign::AsReceived), _) => {
            if has_secret {
                table.fault(Some("secret"), "expected none beside `sign = \"as-received\"`, found one");
            }
            Signing::AsReceived
        }
        (Some(Sign::StandardWebhooks), Some(secret)) => Signing::StandardWebhooks(secret),
        (Some(Sign::Pylon), Some(secret)) => Signing::Pylon(secret),
        (None, Some(secret)) if !has_sign => Signing::Pylon(secret),
        (Some(_), None) if !has_secret => {
            table.fault(Some("sign"), "expected a `secret` to sign with, found none");
            Signing::AsReceived
        }
        _ => Signing::AsReceived,
    }
}
