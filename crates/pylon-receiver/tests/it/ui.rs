//! The operator's page, through its real router.

mod access;
mod hostile;
mod pages;
mod session;
mod setup;
