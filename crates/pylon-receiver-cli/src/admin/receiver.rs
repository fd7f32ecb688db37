//! The receiver that a command asks, and the ledger that it opens if none runs.

use super::client::Client;
use crate::fault::Fault;
use crate::http_client::{http_client, parse_url};
use crate::input::configuration::load;
use crate::input::ledger::LedgerParser;
use crate::print::output::note;
use clap::Args;
use http::HeaderValue;
use pylon_receiver::config::{LedgerAddress, ListenAddress, SecretSource};
use pylon_receiver::{LedgerAccess, OfflineAdmin, StartFault, open_ledger};
use reqwest::Url;
use std::io::ErrorKind;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;
use zeroize::Zeroizing;

/// The environment variable with the URL of the admin API.
const ADMIN_VARIABLE: &str = "PYLON_RECEIVER_ADMIN";
const DEFAULT_ADMIN: &str = "http://127.0.0.1:8081";

/// Options of every command that asks a receiver.
#[derive(Debug, Args)]
#[command(next_help_heading = "Receiver")]
pub(crate) struct ReceiverArgs {
    /// URL of the receiver's admin API [default: that of --config, or of the environment variable
    /// PYLON_RECEIVER_ADMIN, or http://127.0.0.1:8081]
    #[arg(long, value_name = "URL", value_parser = parse_url)]
    admin_url: Option<Url>,

    /// Read address, token and ledger from the receiver's configuration
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Environment variable with the admin token
    #[arg(long, value_name = "NAME")]
    token_env: Option<String>,

    /// File with the admin token
    #[arg(long, value_name = "FILE", conflicts_with = "token_env")]
    token_file: Option<PathBuf>,

    /// Ledger to use instead of a running receiver, sqlite:FILE or a postgres:// URL; with --admin-url, if none answers
    /// there [default: that of --config, or sqlite:pylon.db, if no receiver answers]
    #[arg(long, value_name = "ADDRESS", value_parser = LedgerParser)]
    ledger: Option<LedgerAddress>,
}

/// The receiver that the options name.
struct Named {
    base: Url,
    /// Where a browser finds the operator's page.
    page: Url,
    token: Option<SecretSource>,
    /// The ledger to open if no receiver answers.
    ledger: Option<Fallback>,
}

/// A ledger to open in the place of a receiver.
struct Fallback {
    address: LedgerAddress,
    password: Option<SecretSource>,
}

impl ReceiverArgs {
    /// The client for an order: that of a running receiver, else of a ledger that others share.
    pub(crate) async fn to_order(&self) -> Result<Client, Fault> {
        match self.chosen_ledger()? {
            Some(Fallback { address: LedgerAddress::Sqlite(path), .. }) => Err(Fault::usage(format!(
                "expected a running receiver for this command, found --ledger; start one on {} with `pylon-receiver serve`, \
                 and leave out --ledger",
                path.display()
            ))),
            Some(shared) => shared.open(LedgerAccess::Change).await,
            None => {
                let mut named = self.named()?;
                // Nobody would deliver what is ordered in a file.
                named.ledger = named.ledger.filter(|ledger| !matches!(ledger.address, LedgerAddress::Sqlite(_)));
                named.running_or("changing", LedgerAccess::Change).await
            }
        }
    }

    /// The client for reading: that of a running receiver, else of the ledger; of the ledger alone if the command line chooses it.
    pub(crate) async fn to_ask(&self) -> Result<Client, Fault> {
        self.running_or("reading", LedgerAccess::Read).await
    }

    /// The client for a change of the ledger alone: chosen as for reading.
    pub(crate) async fn to_change(&self) -> Result<Client, Fault> {
        self.running_or("changing", LedgerAccess::Change).await
    }

    /// Where a browser finds the page of a running receiver.
    pub(crate) async fn page(&self) -> Result<Url, Fault> {
        if self.chosen_ledger()?.is_some() {
            return Err(Fault::usage(
                "expected a running receiver for this command, found --ledger: the page is a part of the receiver; leave out --ledger",
            ));
        }
        let Named { base, page, .. } = self.named()?;
        if refuses_connections(&base).await {
            return Err(Fault::no_receiver(format!(
                "no receiver answers at {base}; start one with `pylon-receiver serve`, or give its address with --admin-url"
            )));
        }
        Ok(page)
    }

    async fn running_or(&self, doing: &str, access: LedgerAccess) -> Result<Client, Fault> {
        let Some(chosen) = self.chosen_ledger()? else { return self.named()?.running_or(doing, access).await };
        if let LedgerAddress::Sqlite(path) = &chosen.address
            && !path.is_file()
        {
            return Err(Fault::failed(format!(
                "expected a ledger at {}, found no file; give the path of one with --ledger",
                path.display()
            )));
        }
        chosen.open(access).await
    }

    /// The ledger that the command line names without a receiver: no other may be used in its place.
    fn chosen_ledger(&self) -> Result<Option<Fallback>, Fault> {
        match (&self.ledger, &self.admin_url) {
            (Some(address), None) => {
                let config = self.config.as_deref().map(|path| load(Some(path))).transpose()?;
                let password = config.and_then(|config| config.ledger_password);
                Ok(Some(Fallback { address: address.clone(), password }))
            }
            _ => Ok(None),
        }
    }

    fn named(&self) -> Result<Named, Fault> {
        let config = self.config.as_deref().map(|path| load(Some(path))).transpose()?;
        let base = match (&self.admin_url, &config) {
            (Some(url), _) => url.clone(),
            (None, Some(config)) => reachable(&config.admin),
            (None, None) => from_environment()?,
        };
        let page = match (&self.admin_url, &config) {
            (None, Some(config)) => config.page_url(&config.admin).and_then(|url| Url::parse(&url).ok()),
            _ => None,
        };
        let page = page.unwrap_or_else(|| below(&base, "ui/"));
        let token = match (&self.token_env, &self.token_file) {
            (Some(name), _) => Some(SecretSource::Environment(name.clone())),
            (None, Some(path)) => Some(SecretSource::File(path.clone())),
            (None, None) => config.as_ref().and_then(|config| config.admin_token.clone()),
        };
        let password = config.as_ref().and_then(|config| config.ledger_password.clone());
        let address = match (&self.ledger, config) {
            (Some(ledger), _) => Some(ledger.clone()),
            (None, Some(config)) => Some(config.ledger),
            // A file in this folder is not the ledger of a receiver on another machine.
            (None, None) => is_loopback(&base).then(|| LedgerAddress::Sqlite("pylon.db".into())),
        };
        Ok(Named { base, page, token, ledger: address.map(|address| Fallback { address, password }) })
    }
}

impl Named {
    /// The client of the receiver or, where nothing listens, of its ledger.
    async fn running_or(self, doing: &str, access: LedgerAccess) -> Result<Client, Fault> {
        let Some(ledger) = &self.ledger else { return self.over_http() };
        if !refuses_connections(&self.base).await {
            return self.over_http();
        }
        if let LedgerAddress::Sqlite(path) = &ledger.address
            && !path.is_file()
        {
            return Err(Fault::no_receiver(format!(
                "no receiver answers at {}, and no ledger is at {}; start one with `pylon-receiver serve`, or give its \
                 address with --admin-url or a ledger with --ledger",
                self.base,
                path.display()
            )));
        }
        let client = ledger.open(access).await?;
        note(&format!("no receiver answers at {}; {doing} {} instead", self.base, ledger.shown()));
        Ok(client)
    }

    fn over_http(self) -> Result<Client, Fault> {
        let authorization = match &self.token {
            Some(token) => Some(bearer(token)?),
            None => None,
        };
        if authorization.is_some() && self.base.scheme() == "http" && !is_loopback(&self.base) {
            note(&format!(
                "warning: the token goes to {} without TLS: anybody on the network path can read and use it; use an https URL",
                self.base
            ));
        }
        Ok(Client::Http { client: http_client(&self.base)?, base: self.base, authorization })
    }
}

impl Fallback {
    async fn open(&self, access: LedgerAccess) -> Result<Client, Fault> {
        let opened = open_ledger(&self.address, self.password.as_ref(), access).await;
        let ledger = opened.map_err(|fault| match fault {
            StartFault::Password(_) => Fault::configuration(fault),
            _ => Fault::failed(format!("{}: {fault}", self.shown())),
        })?;
        let admin = match &self.address {
            LedgerAddress::Sqlite(_) => OfflineAdmin::new(ledger.clone()),
            // Receivers elsewhere deliver what is ordered here.
            _ => OfflineAdmin::shared(ledger.clone()),
        };
        Ok(Client::Offline { admin, ledger })
    }

    fn shown(&self) -> String {
        match &self.address {
            LedgerAddress::Sqlite(path) => path.display().to_string(),
            address => address.to_string(),
        }
    }
}

fn bearer(token: &SecretSource) -> Result<HeaderValue, Fault> {
    let token = token.read().map_err(Fault::configuration)?;
    let text = Zeroizing::new([b"Bearer ".as_slice(), &token].concat());
    let mut value = HeaderValue::from_bytes(&text)
        .map_err(|_| Fault::configuration("expected a token of visible characters, found others in it"))?;
    value.set_sensitive(true);
    Ok(value)
}

/// The URL of a receiver whose operators ask at this address.
fn reachable(admin: &ListenAddress) -> Url {
    let url = admin.url().and_then(|url| Url::parse(&url).ok());
    url.expect("a configuration has an address or a name, and a port, for operators")
}

/// A URL with one more segment of its path, whether or not that ends with a slash.
fn below(base: &Url, segment: &str) -> Url {
    let mut url = base.clone();
    url.set_path(&format!("{}/{segment}", base.path().trim_end_matches('/')));
    url
}

fn from_environment() -> Result<Url, Fault> {
    match std::env::var_os(ADMIN_VARIABLE) {
        None => Ok(Url::parse(DEFAULT_ADMIN).expect("this text is a URL")),
        Some(text) => parse_url(&text.to_string_lossy())
            .map_err(|error| Fault::usage(format!("environment variable {ADMIN_VARIABLE}: {error}"))),
    }
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse().is_ok_and(|address: IpAddr| address.to_canonical().is_loopback())
}

/// Whether nothing listens there for certain; the request itself shows any other fault.
async fn refuses_connections(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned();
    let connect = tokio::net::TcpStream::connect((host, url.port_or_known_default().unwrap_or(80)));
    let connected = tokio::time::timeout(Duration::from_secs(5), connect).await;
    matches!(connected, Ok(Err(error)) if error.kind() == ErrorKind::ConnectionRefused)
}
