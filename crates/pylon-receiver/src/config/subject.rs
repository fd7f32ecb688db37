//! The subject of a message to NATS, with placeholders.

use super::value::{Value, quote, read_text, value};
use crate::text::{nearest, quoted};
use pylon_webhooks::EventKind;
use std::fmt;
use std::str::FromStr;

/// What an error message expects.
const EXPECTED: &str = "expected a subject such as `pylon.{kind}`";
/// The longest template, in bytes.
const LONGEST: usize = 256;
/// How much of a text goes into a subject, in bytes. Servers read lines of 4 KiB at most.
const LONGEST_TEXT: usize = 256;

/// The subject of a message to NATS, with placeholders such as `pylon.{kind}`; each may stand in it once.
///
/// | Placeholder | Becomes |
/// | --- | --- |
/// | `{kind}` | the known kind of the event, such as `issue_new` |
/// | `{endpoint}` | the name of the endpoint that received the event |
/// | `{name}` | the event's name as it was sent |
///
/// What a placeholder becomes is never more than a part between two full stops. Each character that cannot stand there, such as a
/// space, `.`, `*`, `>`, `$` and all that is not ASCII, becomes `_`. So does a text that is empty. Of a text, 256 bytes count.
///
/// ```
/// use pylon_receiver::config::SubjectTemplate;
/// use pylon_webhooks::EventKind;
///
/// let template: SubjectTemplate = "pylon.{endpoint}.{kind}".parse()?;
/// assert_eq!(template.subject(Some(EventKind::IssueNew), "eu.support", "issue.new"), "pylon.eu_support.issue_new");
/// assert_eq!(template.subject(None, "eu", ""), "pylon.eu._");
/// # Ok::<(), String>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubjectTemplate(Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Kind,
    Endpoint,
    Name,
}

impl SubjectTemplate {
    /// The subject for an event of this kind, received by the endpoint of this name, and with this name of its own.
    pub fn subject(&self, kind: Option<EventKind>, endpoint: &str, name: &str) -> String {
        let parts = self.0.iter().map(|part| match part {
            Part::Text(text) => text.clone(),
            Part::Kind => fitting(kind.map(EventKind::name).unwrap_or_default()),
            Part::Endpoint => fitting(endpoint),
            Part::Name => fitting(name),
        });
        parts.collect()
    }
}

impl Default for SubjectTemplate {
    /// `pylon.{kind}`
    fn default() -> Self {
        Self(vec![Part::Text("pylon.".to_owned()), Part::Kind])
    }
}

impl FromStr for SubjectTemplate {
    type Err = String;

    /// # Errors
    /// What was expected and what was found.
    fn from_str(text: &str) -> Result<Self, String> {
        let (mut parts, mut rest) = (Vec::new(), text);
        while let Some((before, after)) = rest.split_once('{') {
            let (name, after) =
                after.split_once('}').ok_or_else(|| format!("{EXPECTED}, found a `{{` without a `}}`"))?;
            if !before.is_empty() {
                parts.push(Part::Text(before.to_owned()));
            }
            let part = Part::named(name)?;
            if parts.contains(&part) {
                return Err(format!("expected each placeholder once, found {} again", quoted(&part.to_string())));
            }
            parts.push(part);
            rest = after;
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.to_owned()));
        }
        let template = Self(parts);
        match template.fault() {
            Some(found) => Err(format!("{EXPECTED}, found {found}")),
            None => Ok(template),
        }
    }
}

impl SubjectTemplate {
    /// What nobody can publish to.
    fn fault(&self) -> Option<String> {
        let text = self.to_string();
        if text.len() > LONGEST {
            return Some(format!("one of {} bytes; at most {LONGEST} are allowed", text.len()));
        }
        for part in &self.0 {
            let Part::Text(text) = part else { continue };
            let stray = text.chars().find(|&character| !character.is_ascii_graphic() || "*>{}".contains(character));
            if let Some(stray) = stray {
                return Some(format!("{} in it", quoted(&stray.to_string())));
            }
        }
        let example = self.subject(None, "", "");
        if example.split('.').any(str::is_empty) {
            return Some("nothing before, after or between full stops".to_owned());
        }
        // `$JS`, `$SYS` and the like are orders to the server.
        example.starts_with('$').then(|| "one that begins with `$`, which is for the server itself".to_owned())
    }
}

impl Part {
    const PLACEHOLDERS: [(&str, Self); 3] = [("kind", Self::Kind), ("endpoint", Self::Endpoint), ("name", Self::Name)];

    fn named(name: &str) -> Result<Self, String> {
        let known = Self::PLACEHOLDERS.into_iter().find(|&(known, _)| known == name);
        known.map(|(_, part)| part).ok_or_else(|| {
            let near = nearest(name, Self::PLACEHOLDERS.map(|(known, _)| known));
            let hint = near.map(|near| format!("; did you mean `{{{near}}}`?")).unwrap_or_default();
            format!("expected `{{kind}}`, `{{endpoint}}` or `{{name}}`, found {}{hint}", quoted(&format!("{{{name}}}")))
        })
    }
}

impl fmt::Display for SubjectTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|part| part.fmt(f))
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Kind => f.write_str("{kind}"),
            Self::Endpoint => f.write_str("{endpoint}"),
            Self::Name => f.write_str("{name}"),
        }
    }
}

/// The text as it can stand between two full stops.
fn fitting(text: &str) -> String {
    let fits = |character: char| character.is_ascii_graphic() && !".*>$".contains(character);
    let fitted: String = text
        .char_indices()
        .take_while(|&(at, _)| at < LONGEST_TEXT)
        .map(|(_, character)| if fits(character) { character } else { '_' })
        .collect();
    if fitted.is_empty() { "_".to_owned() } else { fitted }
}

/// A subject with placeholders.
pub(super) const SUBJECT: Value<SubjectTemplate> =
    value("subject", |value| Ok(read_text(value)?.parse()?), |subject| Some(quote(&subject.to_string())));
