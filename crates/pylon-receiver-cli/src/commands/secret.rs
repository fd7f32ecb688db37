//! The secret that a command signs or verifies with: by an environment variable's name or a file, never as an argument,
//! which everybody on the machine could read.

use super::fault::Fault;
use clap::Args;
use pylon_receiver::config::SecretSource;
use pylon_webhooks::Secret;
use std::path::PathBuf;
use zeroize::Zeroizing;

#[derive(Debug, Args)]
pub(crate) struct SecretArgs {
    /// Take the secret from this environment variable
    #[arg(long, value_name = "NAME", default_value = "PYLON_WEBHOOK_SECRET")]
    secret_env: String,

    /// Take the secret from this file, without the line end at its end
    #[arg(long, value_name = "FILE", conflicts_with = "secret_env")]
    secret_file: Option<PathBuf>,
}

impl SecretArgs {
    /// Its bytes.
    pub(crate) fn bytes(&self) -> Result<Zeroizing<Vec<u8>>, Fault> {
        let source = match &self.secret_file {
            Some(path) => SecretSource::File(path.clone()),
            None => SecretSource::Environment(self.secret_env.clone()),
        };
        source.read().map_err(Fault::configuration)
    }

    /// The secret to sign with.
    pub(crate) fn secret(&self) -> Result<Secret, Fault> {
        Secret::new(&*self.bytes()?).map_err(Fault::configuration)
    }
}
