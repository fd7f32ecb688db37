//! The operator's page, through its real router.

mod access;
mod hostile;
mod orders;
mod pages;
mod session;
mod setup;
