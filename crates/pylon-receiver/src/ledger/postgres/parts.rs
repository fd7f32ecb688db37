//! Many items in parts, so that each transaction is short.

use std::collections::HashSet;
use std::hash::Hash;

/// Items of one transaction.
const PART: usize = 100;

/// The items in their order, in parts that have no item twice: what is named again is looked at again. One part at least.
pub(super) fn parts<T, K: Eq + Hash>(items: Vec<T>, key: impl Fn(&T) -> K) -> Vec<Vec<T>> {
    let mut parts: Vec<Vec<T>> = vec![Vec::new()];
    let mut in_part = HashSet::new();
    for item in items {
        if !in_part.insert(key(&item)) || parts.last().is_none_or(|part| part.len() == PART) {
            in_part = HashSet::from([key(&item)]);
            parts.push(Vec::new());
        }
        if let Some(part) = parts.last_mut() {
            part.push(item);
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_part_is_long_or_has_an_item_twice_and_the_order_stays() {
        assert_eq!(parts(Vec::<u32>::new(), |&item| item), [Vec::<u32>::new()]);
        assert_eq!(parts(vec![1, 2, 1, 1, 3], |&item| item), [vec![1, 2], vec![1], vec![1, 3]]);
        let many: Vec<usize> = (0..2 * PART + 1).collect();
        let lengths: Vec<usize> = parts(many.clone(), |&item| item).iter().map(Vec::len).collect();
        assert_eq!(lengths, [PART, PART, 1]);
        assert_eq!(parts(many.clone(), |&item| item).concat(), many);
    }
}
