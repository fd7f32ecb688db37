//! Lays a JSON text out over lines. White space alone is moved: digits, the order of keys and keys that occur twice stay as they came.

use super::text::boundary;

/// The text over lines; none: it is not JSON, and the number is the byte at which it breaks.
pub(super) fn lay_out(text: &str) -> Result<String, usize> {
    if let Err(error) = serde_json::from_str::<serde::de::IgnoredAny>(text) {
        return Err(offset(text, error.line(), error.column()));
    }
    let mut laid_out = String::with_capacity(text.len() * 2);
    let mut depth = 0;
    let mut rest = text.char_indices().peekable();
    while let Some((start, character)) = rest.next() {
        match character {
            '"' => {
                let mut is_escaped = false;
                let mut end = start + 1;
                for (at, character) in rest.by_ref() {
                    end = at + character.len_utf8();
                    match character {
                        _ if is_escaped => is_escaped = false,
                        '\\' => is_escaped = true,
                        '"' => break,
                        _ => {}
                    }
                }
                laid_out.push_str(&text[start..end]);
            }
            '{' | '[' => {
                laid_out.push(character);
                while rest.next_if(|(_, next)| next.is_ascii_whitespace()).is_some() {}
                match rest.next_if(|(_, next)| matches!(next, '}' | ']')) {
                    Some((_, end)) => laid_out.push(end),
                    None => {
                        depth += 1;
                        new_line(&mut laid_out, depth);
                    }
                }
            }
            '}' | ']' => {
                depth -= 1;
                new_line(&mut laid_out, depth);
                laid_out.push(character);
            }
            ',' => {
                laid_out.push(',');
                new_line(&mut laid_out, depth);
            }
            ':' => laid_out.push_str(": "),
            character if character.is_ascii_whitespace() => {}
            character => laid_out.push(character),
        }
    }
    Ok(laid_out)
}

/// Deeper levels are not indented further: a body may nest a hundred levels.
const DEEPEST_INDENT: usize = 20;

fn new_line(text: &mut String, depth: usize) {
    text.push('\n');
    (0..depth.min(DEEPEST_INDENT)).for_each(|_| text.push_str("  "));
}

/// The byte at this line and column, both from 1; serde_json counts columns in bytes.
fn offset(text: &str, line: usize, column: usize) -> usize {
    let before: usize = text.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
    boundary(text, before + column.saturating_sub(1))
}
