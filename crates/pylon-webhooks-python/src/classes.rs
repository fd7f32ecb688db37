//! The event classes with their fields, as Python sees them.

use crate::event::{
    BaseIssueEvent, IssueAssignedEvent, IssueFieldChangedEvent, IssueNewEvent, IssueReactionEvent, IssueSnapshotEvent,
    IssueStateChangedEvent, IssueTagsChangedEvent, MessageNewEvent, UnknownEvent, WebhookEvent,
};
use crate::field::Field;
use pylon_webhooks::EventKind;
use pyo3::prelude::*;
use pyo3::types::{PyTuple, PyType};
use std::collections::BTreeSet;

/// Adds the classes, and to each the fields of its kinds: under their names and without `issue_`.
pub(crate) fn add_to(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    let is_base = |field: &&pylon_webhooks::Field| EventKind::IssueMessageNew.field(field.name).is_some();
    let base: Vec<_> = EventKind::IssueNew.fields().filter(is_base).collect();
    let snapshot: Vec<_> = EventKind::IssueNew.fields().filter(|field| !is_base(field)).collect();
    let message: Vec<_> = EventKind::IssueMessageNew.fields().filter(|field| !base.contains(field)).collect();
    let views: Vec<_> = EventKind::IssueStatusChanged.views().collect();
    let classes = [
        (py.get_type::<WebhookEvent>(), vec![], vec![]),
        (py.get_type::<BaseIssueEvent>(), base, vec![]),
        (py.get_type::<IssueSnapshotEvent>(), snapshot, vec![]),
        (py.get_type::<IssueNewEvent>(), vec![], vec![]),
        (py.get_type::<IssueAssignedEvent>(), vec![], vec![]),
        (py.get_type::<IssueStateChangedEvent>(), vec![], views),
        (py.get_type::<IssueFieldChangedEvent>(), vec![], vec![]),
        (py.get_type::<IssueTagsChangedEvent>(), vec![], vec![]),
        (py.get_type::<IssueReactionEvent>(), vec![], vec![]),
        (py.get_type::<MessageNewEvent>(), message, vec![]),
        (py.get_type::<UnknownEvent>(), vec![], vec![]),
    ];
    let mut match_args: Vec<(Bound<'_, PyType>, Vec<&str>)> = Vec::new();
    for (class, fields, views) in classes {
        for field in fields.iter().chain(&views) {
            let descriptor = Bound::new(py, Field::new(field))?;
            for name in attribute_names(field.name) {
                class.setattr(name, &descriptor)?;
            }
        }
        let parent = match_args.iter().rev().find(|(parent, _)| class.is_subclass(parent).unwrap_or(false));
        let inherited = parent.map_or_else(|| vec!["event_type"], |(_, names)| names.clone());
        // Views of a field are not matched by position.
        let names: Vec<&str> = inherited.into_iter().chain(fields.iter().map(|field| field.name)).collect();
        class.setattr("__match_args__", PyTuple::new(py, &names)?)?;
        module.add(class.name()?, &class)?;
        match_args.push((class, names));
    }
    Ok(())
}

/// The attribute names of a field: both spellings of the requester, each also without `issue_`.
fn attribute_names(name: &str) -> BTreeSet<String> {
    let spellings = [name.to_owned(), name.replace("requesteer", "requester")];
    let bare = |name: &String| name.strip_prefix("issue_").map(str::to_owned);
    spellings.iter().filter_map(bare).chain(spellings.iter().cloned()).collect()
}
