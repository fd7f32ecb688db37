//! A PostgreSQL of the tests' own: real, private, and gone with the process.
//!
//! Where there is none, each test that begins with `let Some(cluster) = Cluster::shared() else { return };` passes, and one line says
//! what is not tested; with `PYLON_DEMAND_PROGRAMS=1` it fails.

mod cluster;
mod installation;
mod server;
mod setup;
mod standby;

pub use cluster::Cluster;
pub use server::Stop;
pub use setup::Setup;
pub use standby::Replication;
