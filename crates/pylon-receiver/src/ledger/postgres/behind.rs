//! Which events come behind others in a line: what waits there is kept in its order.

use super::line::lines_of;
use super::waiting::Waiting;
use crate::ledger::NewEvent;
use std::collections::HashSet;
use uuid::Uuid;

/// Which of the events can be kept while others have these lines: those that have no such line, and come behind none that has one.
pub(super) fn free(ledger: Uuid, events: &[&NewEvent], mut taken: HashSet<i64>) -> Vec<bool> {
    events.iter().map(|event| !is_behind(lines_of(ledger, event).collect(), &mut taken)).collect()
}

/// Parts those that come behind one with these lines from the others.
pub(super) fn part(ledger: Uuid, batch: Vec<Waiting>, taken: &mut HashSet<i64>) -> (Vec<Waiting>, Vec<Waiting>) {
    batch.into_iter().partition(|waiting| is_behind(lines_of(ledger, &waiting.event).collect(), taken))
}

/// Whether one of the lines is taken; then all of them are.
fn is_behind(lines: Vec<i64>, taken: &mut HashSet<i64>) -> bool {
    let is_behind = lines.iter().any(|line| taken.contains(line));
    if is_behind {
        taken.extend(lines);
    }
    is_behind
}

#[cfg(test)]
mod tests {
    use super::is_behind;
    use std::collections::HashSet;

    #[test]
    fn what_comes_behind_one_that_waits_in_a_line_waits_too() {
        let mut taken = HashSet::from([1]);
        let events = [vec![2], vec![1, 3], vec![2, 4], vec![3], vec![], vec![4, 5], vec![5, 3], vec![5]];
        let waits = events.map(|lines| is_behind(lines, &mut taken));
        assert_eq!(waits, [false, true, false, true, false, false, true, true]);
    }
}
