//! Who may read and order: operators on this machine, or those with a token; their own pages, and no others.

mod caller;
mod denied;
mod gate;
mod header;
mod loopback;
mod operators;
mod session;
mod site;
mod surface;
mod token;

pub(crate) use caller::Caller;
pub(crate) use denied::Denied;
pub(crate) use gate::Gate;
pub use operators::{Access, Operator};
pub(crate) use surface::Surface;
