//! The operator's page: what the API tells and does, in a browser.

mod assets;
mod dead;
mod destination;
mod event;
mod events;
mod filters;
mod frame;
mod health;
mod help;
mod json_layout;
mod let_in;
mod next_step;
mod overview;
mod page;
mod query;
mod refused;
mod routes;
mod send_again;
mod setup;
mod sign_in;
mod spark;
mod text;

pub(crate) use frame::Identity;
pub(crate) use routes::pages;
