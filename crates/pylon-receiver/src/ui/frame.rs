//! What stands around every page: where one is, who one is, what is wrong now.

use super::assets;
use crate::access::Caller;
use crate::admin::{self, AdminParts, Health};
use crate::wire::Destination;
use std::sync::Arc;

/// Which receiver it is.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    /// What operators call this receiver, or all that share its ledger.
    pub(crate) instance: Arc<str>,
}

/// What pages are made from.
#[derive(Clone)]
pub(super) struct Ui {
    pub(super) parts: AdminParts,
    pub(super) health: Health,
    pub(super) identity: Identity,
    pub(super) has_sessions: bool,
}

/// What stands around a page.
pub(super) struct Frame {
    /// From the page to `ui/`, so that every link is right behind any prefix.
    pub(super) root: &'static str,
    pub(super) instance: Arc<str>,
    /// What is wrong now.
    pub(super) troubles: Vec<Trouble>,
    /// Who is signed in.
    pub(super) name: Option<String>,
    pub(super) may_order: bool,
    pub(super) has_sessions: bool,
    /// What is searched for.
    pub(super) search: String,
    pub(super) is_bare: bool,
    pub(super) style: &'static str,
    pub(super) script: &'static str,
}

/// Something that is wrong, and the page that says more.
pub(super) struct Trouble {
    pub(super) sentence: String,
    /// From `ui/`.
    pub(super) link: &'static str,
}

impl Frame {
    /// A frame that knows nothing of the receiver.
    pub(super) fn bare(root: &'static str) -> Self {
        Self {
            root,
            instance: "pylon-receiver".into(),
            troubles: Vec::new(),
            name: None,
            may_order: false,
            has_sessions: false,
            search: String::new(),
            is_bare: true,
            style: assets::style_name(),
            script: assets::script_name(),
        }
    }
}

impl Ui {
    /// The frame of a page for this caller.
    pub(super) async fn frame(&self, caller: &Caller, root: &'static str) -> Frame {
        Frame {
            instance: self.identity.instance.clone(),
            troubles: self.troubles().await,
            name: caller.name().map(str::to_owned),
            may_order: caller.may_order(),
            has_sessions: self.has_sessions,
            is_bare: false,
            ..Frame::bare(root)
        }
    }

    async fn troubles(&self) -> Vec<Trouble> {
        let mut troubles = Vec::new();
        let unmet = self.health.unmet().await;
        if !unmet.is_empty() {
            troubles.push(Trouble { sentence: "not ready".to_owned(), link: "health" });
        }
        // A ledger that cannot be read is why the receiver is not ready.
        let Ok(destinations) = self.destinations().await else { return troubles };
        let failing = destinations.iter().filter(|destination| is_failing(destination)).count();
        if failing > 0 {
            troubles.push(Trouble {
                sentence: counted(failing as u64, "destination failing", "destinations failing"),
                link: "",
            });
        }
        let dead: u64 = destinations.iter().map(|destination| destination.stats.dead).sum();
        if dead > 0 {
            troubles.push(Trouble { sentence: counted(dead, "dead delivery", "dead deliveries"), link: "dead" });
        }
        troubles
    }

    /// The destinations, with what is left of each.
    pub(super) async fn destinations(&self) -> Result<Vec<Destination>, admin::Refusal> {
        Ok(admin::stats_of(&self.parts).await?.destinations)
    }
}

/// Whether nothing arrives there, or nobody delivers there.
fn is_failing(destination: &Destination) -> bool {
    destination.failing == Some(true) || destination.orphaned == Some(true)
}

fn counted(count: u64, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}
