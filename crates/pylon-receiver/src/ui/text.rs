//! Texts that strangers wrote, as HTML: nothing in them is markup, and nothing in them is invisible.

use std::fmt;

/// How much of a text stands in a page, in bytes; the rest is a download.
pub(super) const MOST_SHOWN: usize = 64 * 1024;

/// A text in a line, written as HTML. What turns the direction of text around is shown by its code point, and turns nothing.
pub(super) struct Inline<'t>(pub(super) &'t str);

impl fmt::Display for Inline<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<bdi dir=\"auto\">")?;
        write(f, self.0, false)?;
        f.write_str("</bdi>")
    }
}

/// A text of several lines, for `<pre>`, written as HTML.
pub(super) struct Block<'t>(pub(super) &'t str);

impl fmt::Display for Block<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write(f, self.0, true)
    }
}

/// The beginning of a text that a page shows, which ends with a whole character.
pub(super) fn beginning(text: &str) -> &str {
    &text[..boundary(text, MOST_SHOWN)]
}

/// The last place up to this byte at which a character begins or the text ends.
pub(super) fn boundary(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0)
}

/// A text in which nothing is invisible, not yet as HTML.
pub(super) fn visible(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut shown, character| {
        match is_invisible(character) {
            // Writing to a `String` never fails.
            true => drop(fmt::Write::write_fmt(&mut shown, format_args!("U+{:04X}", u32::from(character)))),
            false => shown.push(character),
        }
        shown
    })
}

fn write(f: &mut fmt::Formatter<'_>, text: &str, is_block: bool) -> fmt::Result {
    let mut plain = 0;
    for (at, character) in text.char_indices() {
        let escaped = match character {
            '&' => "&amp;",
            '<' => "&lt;",
            '>' => "&gt;",
            '"' => "&quot;",
            '\'' => "&#39;",
            '\n' | '\t' if is_block => continue,
            character if is_invisible(character) => "",
            _ => continue,
        };
        f.write_str(&text[plain..at])?;
        match escaped {
            "" => write!(f, "<span class=\"code-point\">U+{:04X}</span>", u32::from(character))?,
            escaped => f.write_str(escaped)?,
        }
        plain = at + character.len_utf8();
    }
    f.write_str(&text[plain..])
}

/// Whether a character cannot be seen, or changes how others are seen (Unicode's Cc, and what UAX #9 lists as bidirectional controls,
/// zero-width characters and separators).
fn is_invisible(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{00AD}' | '\u{061C}' | '\u{180E}' | '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}'
            | '\u{2060}'..='\u{206F}' | '\u{FEFF}' | '\u{FFF9}'..='\u{FFFB}' | '\u{E0000}'..='\u{E007F}'
        )
}
