"""Signed sample deliveries, made from the templates that the documentation tells users to paste."""

from pylon_webhooks import sign, template

#: What Pylon would put in place of each template variable.
VALUES = {
    "issue.id": "5b0c0f0e-1111-4a4a-8b8b-000000000001",
    "issue.number": "1042",
    "issue.title": "Export fails",
    "issue.team.name": "Support",
    "issue.account.id": "acc_1",
    "issue.account.name": "Example Co",
    "issue.requester.email": "sam@example.com",
    "issue.requester.id": "usr_1",
    "issue.assignee.email": "kim@example.org",
    "issue.assignee.id": "agent_7",
    "issue.body": "<p>The nightly export stops.</p>",
    "issue.status": "waiting_on_you",
    "issue.last_message.sent_at": "2026-01-02T03:04:05Z",
    "issue.link": "https://app.usepylon.com/issues?issueNumber=1042",
    "issue.tags": "billing, export",
    "issue.account.domains": "example.com",
    "issue.attachment_urls": "",
    "issue.last_message.id": "msg_1",
    "issue.last_message.author.id": "usr_1",
    "issue.last_message.author.name": "Sam Doe",
    "issue.last_message.body_html": "<p>Still failing</p>",
    "issue.last_message.ccs": "",
    "issue.last_message.is_private": "false",
}
KINDS = [
    "issue_new",
    "issue_assigned",
    "issue_status_changed",
    "issue_field_changed",
    "issue_tags_changed",
    "issue_reaction",
    "issue_message_new",
]


def body(kind: str) -> bytes:
    """The body that Pylon would send of this kind's template."""
    text = template(kind)
    for variable, value in VALUES.items():
        text = text.replace("{{" + variable + "}}", value)
    return text.encode()


def headers(secret: str, payload: bytes, timestamp: int | None = None) -> dict[str, str]:
    """The headers of a delivery signed with the secret."""
    text = None if timestamp is None else str(timestamp)
    signature = {"X-Pylon-Signature": sign(secret, payload, text)}
    return signature if text is None else {**signature, "X-Pylon-Timestamp": text}
