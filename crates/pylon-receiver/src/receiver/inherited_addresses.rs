//! The addresses of sockets that a service manager has handed over.

use crate::config::{Config, ListenAddress};

/// Where sockets from the service manager listen, in place of what the configuration says.
pub(super) struct InheritedAddresses {
    pub(super) listen: Vec<ListenAddress>,
    pub(super) admin: Vec<ListenAddress>,
}

impl InheritedAddresses {
    /// A configuration with the first address of each kind.
    pub(super) fn applied(&self, mut config: Config) -> Config {
        let Self { listen, admin } = self;
        config.listen = listen.first().cloned().unwrap_or(config.listen);
        config.admin = admin.first().cloned().unwrap_or(config.admin);
        config
    }

    /// The same with each of the further addresses: what must hold for one must hold for all.
    pub(super) fn further(&self, config: &Config) -> impl Iterator<Item = Config> {
        let listen = self.listen.iter().skip(1).map(|listen| Config { listen: listen.clone(), ..config.clone() });
        let admin = self.admin.iter().skip(1).map(|admin| Config { admin: admin.clone(), ..config.clone() });
        listen.chain(admin)
    }
}
