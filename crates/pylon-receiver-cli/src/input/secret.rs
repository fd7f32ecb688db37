//! The secret that a command signs or verifies with. It comes from an environment variable or a file, never from an argument:
//! everybody on the machine can read arguments.

use crate::fault::Fault;
use crate::print::output::note;
use clap::Args;
use pylon_receiver::config::SecretSource;
use pylon_webhooks::Secret;
use std::path::PathBuf;
use zeroize::Zeroizing;

#[derive(Debug, Args)]
pub(crate) struct SecretArgs {
    /// Environment variable with the secret
    #[arg(long, value_name = "NAME", default_value = "PYLON_WEBHOOK_SECRET")]
    secret_env: String,

    /// File with the secret; a trailing newline is ignored
    #[arg(long, value_name = "FILE", conflicts_with = "secret_env")]
    secret_file: Option<PathBuf>,
}

impl SecretArgs {
    /// The bytes of the secret; what is probably wrong with it is warned of.
    pub(crate) fn bytes(&self) -> Result<Zeroizing<Vec<u8>>, Fault> {
        let source = match &self.secret_file {
            Some(path) => SecretSource::File(path.clone()),
            None => SecretSource::Environment(self.secret_env.clone()),
        };
        let bytes = source.read().map_err(Fault::configuration)?;
        if let Some(flaw) = Secret::new(&*bytes).ok().and_then(|secret| secret.flaw()) {
            note(&format!("warning: {source}: {flaw}"));
        }
        Ok(bytes)
    }

    /// The secret to sign with.
    pub(crate) fn secret(&self) -> Result<Secret, Fault> {
        Secret::new(&*self.bytes()?).map_err(Fault::configuration)
    }
}
