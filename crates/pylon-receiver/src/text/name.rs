//! Names in error messages: quoted, listed, and the nearest known one.

/// Quotes a text for an error message: on one line, cut after 60 characters.
///
/// ```
/// assert_eq!(pylon_receiver::text::quoted("a\nb"), r"`a\nb`");
/// ```
pub fn quoted(text: &str) -> String {
    const LONGEST: usize = 60;
    let shown: String = text.chars().take(LONGEST).flat_map(char::escape_debug).collect();
    if text.chars().nth(LONGEST).is_some() { format!("`{shown}...`") } else { format!("`{shown}`") }
}

/// Lists names as a choice.
///
/// ```
/// assert_eq!(pylon_receiver::text::one_of(["a", "b", "c"]), "`a`, `b` or `c`");
/// ```
pub fn one_of<'n>(names: impl IntoIterator<Item = &'n str>) -> String {
    let quoted: Vec<_> = names.into_iter().map(|name| format!("`{name}`")).collect();
    match quoted.as_slice() {
        [] => "nothing".to_owned(),
        [one] => one.clone(),
        [all @ .., last] => format!("{} or {last}", all.join(", ")),
    }
}

/// Finds the candidate nearest to a mistyped name. At most a third of the name may differ; one letter may always differ. Case,
/// and the choice of hyphen or underscore, do not count.
///
/// ```
/// use pylon_receiver::text::nearest;
///
/// assert_eq!(nearest("Lisen", ["listen", "log"]), Some("listen"));
/// assert_eq!(nearest("elsewhere", ["listen", "log"]), None);
/// ```
pub fn nearest<'c>(name: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    let folded = fold(name);
    let furthest = (folded.chars().count() / 3).max(1);
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(&fold(candidate), &folded), candidate))
        .filter(|&(distance, _)| distance <= furthest)
        .min_by_key(|&(distance, _)| distance)
        .map(|(_, candidate)| candidate)
}

fn fold(name: &str) -> String {
    name.to_lowercase().replace('-', "_")
}
