//! Where a destination is, as the log shows it.

use crate::config::{SecretSource, TransportConfig};

/// The URL without its query and the socket, the program, the file, or the servers. Neither a query nor an argument is shown: they may hold a credential.
pub(crate) fn address(transport: &TransportConfig) -> Box<str> {
    match transport {
        TransportConfig::Http(http) => {
            let (scheme, host) = (http.url.scheme_str().unwrap_or_default(), http.url.authority());
            let host =
                host.map(|authority| authority.as_str().rsplit('@').next().unwrap_or_default()).unwrap_or_default();
            let socket = http.socket.as_ref().map(|path| format!(" at {}", path.display())).unwrap_or_default();
            format!("{scheme}://{host}{}{socket}", http.url.path()).into()
        }
        TransportConfig::Command(command) => command.command.first().cloned().unwrap_or_default().into(),
        TransportConfig::JsonLines(json_lines) => json_lines.path.display().to_string().into(),
        TransportConfig::Nats(nats) => match &nats.servers {
            SecretSource::Plain(text) => text.as_str().into(),
            // It may hold a password.
            secret => format!("NATS: {secret}").into(),
        },
        TransportConfig::InProcess => "handlers".into(),
    }
}
