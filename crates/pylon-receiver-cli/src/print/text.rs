//! Text from outside, made harmless for a terminal: customers write it, and some of it is hostile.

use std::borrow::Cow;
use unicode_width::UnicodeWidthChar;

/// Text in one line. Characters that move the cursor, or hide or reorder other text, become escapes.
pub(crate) fn escape(text: &str) -> Cow<'_, str> {
    escape_but(text, |_| false)
}

/// The same, but keeps line feeds.
pub(crate) fn escape_lines(text: &str) -> Cow<'_, str> {
    escape_but(text, |character| character == '\n')
}

/// A JSON document with the same characters as JSON escapes. Line feeds are outside its strings, and stay.
pub(crate) fn escape_json(document: &str) -> String {
    let mut out = String::with_capacity(document.len());
    for character in document.chars() {
        if character == '\n' || !is_hostile(character) {
            out.push(character);
        } else {
            let units =
                character.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")).collect::<String>();
            out.push_str(&units);
        }
    }
    out
}

/// Text in one line of at most this many columns; if it is cut, its last column is an ellipsis.
pub(crate) fn cut(text: &str, columns: usize) -> String {
    // Combining marks take no column: any number of them would fit.
    let most_characters = columns.saturating_mul(4);
    // Escape only what may be shown.
    let text: String = text.chars().take(most_characters + 1).collect();
    let escaped = escape(&text);
    if width(&escaped) <= columns && escaped.chars().count() <= most_characters {
        return escaped.into_owned();
    }
    let mut out = String::new();
    let mut used = 1;
    for character in escaped.chars().take(most_characters) {
        used += character.width().unwrap_or(0);
        if used > columns {
            break;
        }
        out.push(character);
    }
    out.push('…');
    out
}

/// The width of the text on a terminal, in columns.
pub(crate) fn width(text: &str) -> usize {
    text.chars().map(|character| character.width().unwrap_or(0)).sum()
}

fn escape_but(text: &str, stays: impl Fn(char) -> bool) -> Cow<'_, str> {
    let is_escaped = |character| is_hostile(character) && !stays(character);
    if !text.contains(is_escaped) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        if is_escaped(character) { out.extend(character.escape_default()) } else { out.push(character) }
    }
    Cow::Owned(out)
}

/// Control characters, line and paragraph separators, invisible characters, and those that change the direction of text.
fn is_hostile(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{ad}'
                | '\u{34f}'
                | '\u{61c}'
                | '\u{115f}'..='\u{1160}'
                | '\u{17b4}'..='\u{17b5}'
                | '\u{180e}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{3164}'
                | '\u{feff}'
                | '\u{ffa0}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e007f}'
        )
}
