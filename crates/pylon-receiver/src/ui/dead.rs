//! Dead deliveries: what failed for good, and waits for an operator.

use super::answer::Answer as Said;
use super::filters;
use super::frame::{Frame, Ui};
use super::page::{Answer, page};
use super::query;
use crate::access::Caller;
use crate::admin::{self, Refusal};
use crate::ledger::{DeadGroup, DeliveryFilter};
use crate::wire::{DeliveryList, DeliveryRecord, DeliveryState};
use askama::Template;
use axum::Extension;
use axum::extract::State;
use http::{HeaderMap, Uri};

#[derive(Template)]
#[template(path = "dead.html")]
struct Dead {
    frame: Frame,
    /// By destination and cause, the largest first.
    groups: Vec<Group>,
    filter: DeliveryFilter,
    deliveries: Vec<DeliveryRecord>,
    next: Option<String>,
    /// The filter of this list, for an order about all that match.
    order: String,
}

/// The dead with one destination and one cause.
struct Group {
    group: DeadGroup,
    /// The code as the address of the page has it.
    code: String,
    /// What the destination said to the one that died last.
    answer: Option<Said>,
}

impl From<DeadGroup> for Group {
    fn from(group: DeadGroup) -> Self {
        let code = group.code.clone().unwrap_or_else(|| DeliveryFilter::NO_CODE.to_owned());
        let answer = group.answer.as_ref().map(Said::from);
        Self { group, code, answer }
    }
}

impl Dead {
    /// Whether a group is what the list shows.
    fn is_shown(&self, group: &Group) -> bool {
        self.filter.destination.as_deref() == Some(&group.group.destination)
            && self.filter.code.as_deref().is_none_or(|code| code == group.code)
    }
}

pub(super) async fn show(
    State(ui): State<Ui>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    uri: Uri,
) -> Answer {
    let (filter, asked) = query::asked::<DeliveryFilter, _>(&uri, ui.parts.clock.now())?;
    let frame = ui.frame(&caller, "").await;
    let groups = ui.parts.ledger.dead_groups().await.map_err(Refusal::from)?;
    let mut groups: Vec<Group> = groups.into_iter().map(Group::from).collect();
    groups.sort_by_key(|found| std::cmp::Reverse(found.group.dead));
    let order = query::more(&filter);
    let filter = DeliveryFilter { state: Some(DeliveryState::Dead), ..filter };
    let DeliveryList { deliveries, next } = admin::list_deliveries(&ui.parts, filter.clone(), asked).await?;
    let next = query::next(&uri, next);
    page(&Dead { frame, groups, filter, deliveries, next, order }, &headers)
}
