//! `serve`: runs the receiver.

use crate::fault::Fault;
use crate::init;
use crate::input::configuration::load;
use crate::input::ledger::LedgerParser;
use crate::service_manager::{self, Inherited};
use crate::telemetry::Telemetry;
use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use http::Uri;
use pylon_receiver::config::{
    Config, DestinationConfig, HttpTransport, LedgerAddress, ListenAddress, LogFormat, SecretSource, Signing,
    TransportConfig, check,
};
use pylon_receiver::text::parse_url;
use pylon_receiver::{Receiver, Role, StartFault, descriptors};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::path::PathBuf;
use tokio::signal;
use tokio::signal::unix::SignalKind;

const EXAMPLES: &str = "\
Examples:
  pylon-receiver serve --forward http://127.0.0.1:8000/webhook
  pylon-receiver serve --config /etc/pylon-receiver.toml --log json
  pylon-receiver serve --listen 0.0.0.0:8080 --ledger sqlite:/var/lib/pylon/pylon.db
  pylon-receiver serve --ledger postgres://pylon@db.example.com/pylon
  pylon-receiver serve --config /etc/pylon-receiver.toml --no-deliver

Without --config, the receiver accepts webhooks at /webhook that are signed with the secret in
PYLON_WEBHOOK_SECRET. Options override the configuration. SIGTERM shuts down gracefully, SIGHUP reloads the
configuration.";

/// Run the receiver: verify, store, answer, deliver
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ServeArgs {
    /// Configuration file (TOML); `check-config` checks it
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,

    /// Address for webhooks, such as localhost:8080 or unix:/run/pylon.sock [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) listen: Option<ListenAddress>,

    /// Address of the admin API [default: 127.0.0.1:8081]
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) admin: Option<ListenAddress>,

    /// Where to keep events: sqlite:FILE or a postgres:// URL [default: sqlite:pylon.db]
    #[arg(long, value_name = "ADDRESS", value_parser = LedgerParser)]
    pub(crate) ledger: Option<LedgerAddress>,

    /// Environment variable with the webhook secret [default: PYLON_WEBHOOK_SECRET]
    #[arg(long, value_name = "NAME")]
    pub(crate) secret_env: Option<String>,

    /// Deliver every event to this URL; repeatable
    #[arg(long, value_name = "URL", value_parser = parse_url)]
    pub(crate) forward: Vec<Uri>,

    /// Only deliver what other receivers on the ledger store: listen for no webhooks
    #[arg(long, conflicts_with = "no_deliver")]
    pub(crate) no_accept: bool,

    /// Only accept and store: leave deliveries to other receivers on the ledger
    #[arg(long)]
    pub(crate) no_deliver: bool,

    /// Format of the log [default: text]
    #[arg(long, value_name = "FORMAT", value_parser = log_formats())]
    pub(crate) log: Option<LogFormat>,
}

fn log_formats() -> impl TypedValueParser<Value = LogFormat> {
    PossibleValuesParser::new(["text", "json"]).map(|name| match name.as_str() {
        "json" => LogFormat::Json,
        _ => LogFormat::Text,
    })
}

pub(crate) fn run(args: &ServeArgs) -> Result<(), Fault> {
    let alone = init::is_needed().then(init::run);
    init::end_with_parent();
    // Before anything is opened that could take the place of a socket that was promised and not given.
    let inherited = service_manager::inherited()?;
    let config = configured(args)?;
    raise_descriptor_limit(&config);
    let telemetry = Telemetry::start(&config)?;
    if let Some(error) = alone {
        tracing::warn!(%error, "the receiver cannot be started as a child of the first process: orphans of commands are not reaped");
    }
    let runtime = tokio::runtime::Runtime::new()
        .map_err(|error| Fault::failed(format!("the operating system gives no event loop: {error}")))?;
    let served = runtime.block_on(serve(args, config, inherited));
    // Nothing that still runs needs to finish: the command has no handlers of its own.
    runtime.shutdown_background();
    telemetry.finish();
    served
}

/// Raises the number of files that may be open to what the receiver needs, as far as the administrator allows. No further: commands
/// inherit the limit, and some programs do something for each file that might be open.
fn raise_descriptor_limit(config: &Config) {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let needed = descriptors(config) as u64;
    let wanted = maximum.map_or(needed, |maximum| maximum.min(needed));
    if current.is_some_and(|current| current < wanted) {
        // Refused, the limit stays, and the receiver lowers its connections.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum });
    }
}

async fn serve(args: &ServeArgs, config: Config, inherited: Inherited) -> Result<(), Fault> {
    // First of all, so that no signal is lost.
    let mut signals =
        Signals::new().map_err(|error| Fault::failed(format!("signals cannot be waited for: {error}")))?;
    let Inherited { webhooks, admin } = inherited;
    let role = config.role;
    let builder = Receiver::builder().config(config).inherited(webhooks).inherited_admin(admin);
    let receiver = builder.start().await.map_err(start_fault)?;
    for unmet in receiver.unmet() {
        tracing::warn!(%unmet, "not ready");
    }
    service_manager::ready(&at_work(&receiver, role));
    while let Signal::Reload = signals.next().await {
        service_manager::reloading();
        let status = match reload(args, &receiver).await {
            Ok(()) => "reloaded".to_owned(),
            Err(fault) => {
                tracing::error!(fault, "not reloaded: the old configuration stays");
                format!("not reloaded: {fault}")
            }
        };
        service_manager::ready(&status);
    }
    tracing::info!("stopping");
    service_manager::stopping("lets attempts end");
    receiver.shutdown().await.map_err(Fault::failed)
}

/// What the receiver does, for the service manager.
fn at_work(receiver: &Receiver, role: Role) -> String {
    match receiver.webhooks() {
        Some(webhooks) if role.delivers() => format!("accepts webhooks at {webhooks}"),
        Some(webhooks) => format!("accepts webhooks at {webhooks}, delivers nothing"),
        None => "delivers, accepts no webhooks".to_owned(),
    }
}

/// Reads the configuration again and uses it, or says why not.
async fn reload(args: &ServeArgs, receiver: &Receiver) -> Result<(), String> {
    let config = configured(args).map_err(|fault| fault.message().unwrap_or_default().to_owned())?;
    // It may have more destinations now.
    raise_descriptor_limit(&config);
    receiver.reload(config).await.map_err(|fault| fault.to_string())
}

fn start_fault(fault: StartFault) -> Fault {
    match fault {
        StartFault::Config(_)
        | StartFault::Token { .. }
        | StartFault::SameToken { .. }
        | StartFault::Password(_)
        | StartFault::Tls(_) => Fault::configuration(fault),
        _ => Fault::failed(fault),
    }
}

/// The configuration with the options applied.
fn configured(args: &ServeArgs) -> Result<Config, Fault> {
    let mut config = load(args.config.as_deref())?;
    config.listen = args.listen.clone().unwrap_or(config.listen);
    config.admin = args.admin.clone().unwrap_or(config.admin);
    config.log = args.log.unwrap_or(config.log);
    config.role = role(config.role, args)?;
    if let Some(ledger) = &args.ledger {
        config.ledger = ledger.clone();
    }
    if let Some(name) = &args.secret_env {
        for signature in config.endpoints.iter_mut().filter_map(|endpoint| endpoint.signature.as_mut()) {
            signature.secrets = vec![SecretSource::Environment(name.clone())];
        }
    }
    // The app keeps the secret that it already has.
    let signing = config.endpoints.iter().find_map(|endpoint| endpoint.signature.as_ref()?.secrets.first());
    let signing = signing.map_or(Signing::AsReceived, |secret| Signing::Pylon(secret.clone()));
    for (url, number) in args.forward.iter().zip(1..) {
        // Numbered, not named by address: pending deliveries follow an app that moves.
        let name = if number == 1 { "forward".to_owned() } else { format!("forward-{number}") };
        let http = HttpTransport::new(url.clone()).signing(signing.clone());
        config.destinations.push(DestinationConfig::new(name, TransportConfig::Http(http)));
    }
    check(&config).map_err(Fault::configuration)?;
    Ok(config)
}

/// The role of the configuration, less what the options take away.
fn role(configured: Role, args: &ServeArgs) -> Result<Role, Fault> {
    let role = Role::of(configured.accepts() && !args.no_accept, configured.delivers() && !args.no_deliver);
    role.ok_or_else(|| {
        let option = if args.no_accept { "--no-accept" } else { "--no-deliver" };
        Fault::configuration(format!(
            "expected something to do, found none: the configuration has `role = \"{configured}\"`, and {option} takes that away; \
             leave out one of them"
        ))
    })
}

/// The meaning of a signal.
enum Signal {
    Stop,
    Reload,
}

struct Signals {
    terminate: signal::unix::Signal,
    interrupt: signal::unix::Signal,
    hang_up: signal::unix::Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal::unix::signal(SignalKind::terminate())?,
            interrupt: signal::unix::signal(SignalKind::interrupt())?,
            hang_up: signal::unix::signal(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.terminate.recv() => Signal::Stop,
            _ = self.interrupt.recv() => Signal::Stop,
            _ = self.hang_up.recv() => Signal::Reload,
        }
    }
}
