//! Text that came from outside, made harmless for a terminal: customers write it, and some of them are hostile.

use std::borrow::Cow;
use unicode_width::UnicodeWidthChar;

/// Text in one line: what moves the cursor, hides or reorders other text is written as an escape.
pub(crate) fn escape(text: &str) -> Cow<'_, str> {
    escape_but(text, |_| false)
}

/// The same, and line feeds stay.
pub(crate) fn escape_lines(text: &str) -> Cow<'_, str> {
    escape_but(text, |character| character == '\n')
}

/// JSON, whose line feeds are all outside its strings, with the same characters written as JSON escapes them.
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

/// Text in one line of at most so many columns; where it is cut, its last column is an ellipsis.
pub(crate) fn cut(text: &str, columns: usize) -> String {
    // Marks that take no column of their own can be piled up without end.
    let most_characters = columns.saturating_mul(4);
    // What is not shown need not be escaped.
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

/// How many columns of a terminal the text takes.
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

/// Control characters, line and paragraph separators, and what has no width or turns the direction of writing.
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
