//! What commands read: secrets, times, kinds, bodies, the configuration.

pub(crate) mod bytes;
pub(crate) mod configuration;
pub(crate) mod kind;
pub(crate) mod ledger;
pub(crate) mod moment;
pub(crate) mod secret;
pub(crate) mod timestamp;
