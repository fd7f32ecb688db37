//! The one table of typed fields. The methods, the attributes in Python, the templates and the documentation come from it.

use super::datetime::DateTime;
use super::field::{Field, Shape, Variable};
use super::kind::EventKind;
use super::types::{BaseIssueEvent, IssueSnapshotEvent, IssueStateChangedEvent, MessageNewEvent};
use std::borrow::Cow;

const fn variable(name: &'static str, sample: &'static str) -> Option<Variable> {
    Some(Variable { name, sample })
}

/// Writes a table of fields, and for each a method of the type that has it.
macro_rules! fields {
    ($(#[$table_doc:meta])* $table:ident of $owner:ident { $(
        $doc:literal
        $name:ident: $accessor:ident = $shape:expr, $variable:expr, [$($path:literal),+];
    )+ }) => {
        $(#[$table_doc])*
        static $table: &[Field] = &[$(Field {
            name: stringify!($name),
            doc: $doc,
            shape: $shape,
            variable: $variable,
            paths: &[$($path),+],
        }),+];

        impl $owner {
            $(
                #[doc = $doc]
                pub fn $name(&self) -> accessor_type!($accessor) {
                    const INDEX: usize = index_of($table, stringify!($name));
                    self.$accessor(&$table[INDEX])
                }
            )+
        }
    };
}

macro_rules! accessor_type {
    (text_of) => { Cow<'_, str> };
    (number_of) => { Option<i64> };
    (boolean_of) => { Option<bool> };
    (date_time_of) => { Option<DateTime> };
    (list_of) => { Vec<Cow<'_, str>> };
}

/// Where a name stands in a table; worked out by the compiler.
const fn index_of(table: &[Field], name: &str) -> usize {
    let mut index = 0;
    while !is_same(table[index].name.as_bytes(), name.as_bytes()) {
        index += 1;
    }
    index
}

const fn is_same(one: &[u8], other: &[u8]) -> bool {
    if one.len() != other.len() {
        return false;
    }
    let mut at = 0;
    while at < one.len() {
        if one[at] != other[at] {
            return false;
        }
        at += 1;
    }
    true
}

fields! {
    /// The fields of every issue event, messages included.
    BASE of BaseIssueEvent {
        "The issue's opaque identifier."
        issue_id: text_of = Shape::Id, variable("issue.id", "5b0c0f0e-1111-4a4a-8b8b-000000000001"), ["issue.id"];
        "The issue's number, as people see it."
        issue_number: number_of = Shape::Number, variable("issue.number", "1042"), ["issue.number"];
        "The issue's title; customer-written."
        issue_title: text_of = Shape::Text, variable("issue.title", "Export fails"), ["issue.title"];
        "Name of the team that has the issue."
        issue_team_name: text_of = Shape::Text, variable("issue.team.name", "Support"), ["issue.team.name"];
        "The account's opaque identifier."
        issue_account_id: text_of = Shape::Id, variable("issue.account.id", "acc_1"), ["issue.account.id"];
        "The account's name."
        issue_account_name: text_of = Shape::Text, variable("issue.account.name", "Example Co"), ["issue.account.name"];
        "Email address of the requester."
        issue_requester_email: text_of = Shape::Text, variable("issue.requester.email", "sam@example.com"), ["issue.requester.email"];
        // The double e is the wire's: py-usepylon-sdk 0.5.0 documents it as what arrives.
        "The requester's opaque identifier; `issue_requester_id` is read too."
        issue_requesteer_id: text_of = Shape::Id, variable("issue.requester.id", "usr_1"), ["issue.requesteer.id", "issue.requester.id"];
        "Email address of the assignee."
        issue_assignee_email: text_of = Shape::Text, variable("issue.assignee.email", "kim@example.org"), ["issue.assignee.email"];
        "The assignee's opaque identifier."
        issue_assignee_id: text_of = Shape::Id, variable("issue.assignee.id", "agent_7"), ["issue.assignee.id"];
        "The account's opaque identifier in Salesforce."
        issue_salesforce_account_id: text_of = Shape::Id, None, ["issue.salesforce_account_id"];
    }
}

fields! {
    /// The fields that issue events other than messages add.
    SNAPSHOT of IssueSnapshotEvent {
        "The issue's first text, HTML or plain; customer-written, escape it before showing it."
        issue_body: text_of = Shape::Text, variable("issue.body", "<p>The nightly export stops.</p>"), ["issue.body", "issue.body_html"];
        "The issue's status: a slug such as `waiting_on_you`, or a label of the workspace's own."
        issue_status: text_of = Shape::Text, variable("issue.status", "waiting_on_you"), ["issue.status", "issue.state"];
        "The issue's type in Salesforce."
        issue_sf_type: text_of = Shape::Text, None, ["issue.sf_type"];
        "When the last message was sent."
        issue_last_message_sent_at: date_time_of = Shape::DateTime, variable("issue.last_message.sent_at", "2026-01-02T03:04:05Z"), ["issue.last_message.sent_at"];
        "Address of the issue in Pylon."
        issue_link: text_of = Shape::Text, variable("issue.link", "https://app.usepylon.com/issues?issueNumber=1042"), ["issue.link", "issue.url"];
        "The issue's tags."
        issue_tags: list_of = Shape::List("name"), variable("issue.tags", "billing, export"), ["issue.tags"];
        "The account's domains."
        issue_account_domains: list_of = Shape::List("domain"), variable("issue.account.domains", "example.com, example.org"), ["issue.account.domains"];
        "Addresses of the issue's attachments."
        issue_attachment_urls: list_of = Shape::List("url"), variable("issue.attachment_urls", "https://files.example.com/log.txt"), ["issue.attachment_urls", "issue.attachments"];
    }
}

fields! {
    /// The fields that a new message adds.
    MESSAGE of MessageNewEvent {
        "The message's opaque identifier."
        message_id: text_of = Shape::Id, variable("issue.last_message.id", "msg_1"), ["message.id"];
        "The author's opaque identifier."
        message_author_id: text_of = Shape::Id, variable("issue.last_message.author.id", "usr_1"), ["message.author.id"];
        "The author's name."
        message_author_name: text_of = Shape::Text, variable("issue.last_message.author.name", "Sam Doe"), ["message.author.name"];
        "The message as HTML; customer-written, escape or clean it before showing it."
        message_body_html: text_of = Shape::Text, variable("issue.last_message.body_html", "<p>Still failing</p>"), ["message.body_html", "message.body"];
        "Addresses in copy."
        message_ccs: list_of = Shape::List("email"), variable("issue.last_message.ccs", "lee@example.com, kim@example.org"), ["message.ccs"];
        "Whether the message is an internal note."
        message_is_private: boolean_of = Shape::Boolean, variable("issue.last_message.is_private", "false"), ["message.is_private"];
        "When the message was sent."
        message_sent_at: date_time_of = Shape::DateTime, variable("issue.last_message.sent_at", "2026-01-02T03:04:05Z"), ["message.sent_at"];
    }
}

fields! {
    /// What a state change reads besides: not a field of its own, but another look at the status.
    STATE of IssueStateChangedEvent {
        "The state that the issue has come into: `new_state` or `new_status` where the body names it, else its status."
        new_state: text_of = Shape::Text, None, ["issue.new_state", "issue.new_status", "new_state", "new_status", "issue.status", "issue.state"];
    }
}

impl Field {
    /// The field of this name, of any kind of event.
    pub(super) fn named(name: &str) -> Option<&'static Self> {
        [BASE, SNAPSHOT, MESSAGE, STATE].into_iter().flatten().find(|field| field.name == name)
    }
}

impl BaseIssueEvent {
    /// The requester's opaque identifier, spelled as it should be; the same as
    /// [`issue_requesteer_id`](Self::issue_requesteer_id).
    pub fn issue_requester_id(&self) -> Cow<'_, str> {
        self.issue_requesteer_id()
    }
}

impl EventKind {
    /// The typed fields of this kind, in the order of the documentation.
    pub fn fields(self) -> impl Iterator<Item = &'static Field> {
        let more: &'static [Field] = match self {
            Self::IssueMessageNew => MESSAGE,
            _ => SNAPSHOT,
        };
        BASE.iter().chain(more)
    }

    /// What events of this kind read besides their fields: `new_state` of a state change, another look at its status.
    pub fn views(self) -> impl Iterator<Item = &'static Field> {
        let views: &'static [Field] = match self {
            Self::IssueStatusChanged => STATE,
            _ => &[],
        };
        views.iter()
    }

    /// The typed field of this name.
    pub fn field(self, name: &str) -> Option<&'static Field> {
        self.fields().find(|field| field.name == name)
    }

    /// The body to paste into a trigger's "Send webhook" action, so that every field that Pylon has a variable for arrives
    /// under its name.
    ///
    /// ```
    /// use pylon_webhooks::EventKind;
    ///
    /// let template = EventKind::IssueNew.template();
    /// assert!(template.contains(r#""event_type": "issue_new","#));
    /// assert!(template.contains(r#""issue_title": "{{issue.title}}""#));
    /// ```
    pub fn template(self) -> String {
        let value = |variable: Variable| format!("{{{{{}}}}}", variable.name);
        let lines = self.variables().map(|(name, variable)| format!(",\n  \"{name}\": \"{}\"", value(variable)));
        format!("{{\n  \"event_type\": \"{self}\"{}\n}}\n", lines.collect::<String>())
    }

    /// The keys of the template, but for `event_type`, each with the variable that stands there.
    pub(crate) fn variables(self) -> impl Iterator<Item = (&'static str, Variable)> {
        self.fields().filter_map(|field| Some((field.name, field.variable?)))
    }
}
