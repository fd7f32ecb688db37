use super::*;
use proptest::prelude::*;

/// Which of the keys it knows, at a time at which nothing expires that has not yet; it knows none of them after.
fn remembered(store: &MemoryReplayStore, keys: &str, now: u64) -> String {
    let is_known = |key: &char| {
        let known = !is_first_at(store, &key.to_string(), None, now);
        // To ask is to remember.
        store.remove(&key.to_string());
        known
    };
    keys.chars().filter(is_known).collect()
}

#[test]
fn a_key_is_first_once_until_it_expires() {
    let store = MemoryReplayStore::new(10);
    assert!(store.is_empty());
    assert!(is_first_at(&store, "a", Some(NOW + 10), NOW));
    for now in [NOW, NOW + 1, NOW + 9] {
        assert!(!is_first_at(&store, "a", Some(NOW + 1000), now), "{now}: and it is not prolonged");
    }
    assert!(is_first_at(&store, "a", Some(NOW + 20), NOW + 10));
    assert!(!is_first_at(&store, "a", None, NOW + 19));
    assert!(is_first_at(&store, "a", None, NOW + 20), "remembered anew, it expires anew");
    assert!(!is_first_at(&store, "a", None, u64::MAX - 1), "and without an end, never");
    assert_eq!(store.len(), 1);
}

#[test]
fn a_key_that_has_expired_when_it_comes_is_first_each_time() {
    let store = MemoryReplayStore::new(10);
    for expires in [0, NOW - 1, NOW] {
        assert!(is_first_at(&store, "a", Some(expires), NOW));
        assert!(is_first_at(&store, "a", Some(expires), NOW));
    }
}

#[test]
fn what_expires_first_makes_room_and_of_what_never_expires_the_oldest() {
    let store = MemoryReplayStore::new(4);
    for (key, expires) in [("n", None), ("c", Some(NOW + 30)), ("a", Some(NOW + 10)), ("o", None)] {
        assert!(is_first_at(&store, key, expires, NOW));
    }
    assert!(is_first_at(&store, "b", Some(NOW + 20), NOW));
    assert_eq!(store.len(), 4);
    assert_eq!(remembered(&store, "nocba", NOW), "nocb", "a expired first");

    let store = MemoryReplayStore::new(2);
    for key in ["a", "b", "c", "d"] {
        assert!(is_first_at(&store, key, None, NOW));
    }
    assert_eq!(remembered(&store, "dcba", NOW), "dc");

    let store = MemoryReplayStore::new(2);
    for key in ["a", "b", "c"] {
        assert!(is_first_at(&store, key, Some(NOW + 10), NOW));
    }
    assert_eq!(remembered(&store, "cba", NOW), "cb", "of those that expire together, the oldest");
}

#[test]
fn what_has_expired_makes_room_before_anything_else_does() {
    let store = MemoryReplayStore::new(2);
    is_first_at(&store, "n", None, NOW);
    is_first_at(&store, "a", Some(NOW + 10), NOW);
    assert!(is_first_at(&store, "b", Some(NOW + 20), NOW + 10));
    assert_eq!(remembered(&store, "bn", NOW + 10), "bn");
}

#[test]
fn a_key_that_is_forgotten_is_first_again_and_has_a_new_age() {
    let store = MemoryReplayStore::new(2);
    is_first_at(&store, "a", None, NOW);
    is_first_at(&store, "b", None, NOW);
    store.remove("a");
    store.remove("unknown");
    assert_eq!(store.len(), 1);
    assert!(is_first_at(&store, "a", None, NOW));
    is_first_at(&store, "c", None, NOW);
    assert_eq!(remembered(&store, "cab", NOW), "ca", "b is older than a is now");
}

#[test]
fn a_capacity_of_zero_is_one() {
    let store = MemoryReplayStore::new(0);
    assert!(is_first_at(&store, "a", None, NOW));
    assert!(!is_first_at(&store, "a", None, NOW));
    assert!(is_first_at(&store, "b", None, NOW));
    assert!(is_first_at(&store, "a", None, NOW));
    assert_eq!(store.len(), 1);
}

#[test]
fn it_expires_by_the_clock_that_it_was_given() {
    let time = Time::new();
    let store = time.store();
    assert!(store.is_first("a", Some(NOW + 1)));
    assert!(!store.is_first("a", Some(NOW + 1)));
    time.set(NOW + 1);
    assert!(store.is_first("a", Some(NOW + 2)));
    // Its word as a `ReplayStore` is the same.
    let ((), _) = run(async {
        assert!(!store.first_seen("a", None).await.unwrap());
        store.forget("a").await.unwrap();
        assert!(store.first_seen("a", None).await.unwrap());
    });
}

#[test]
fn without_a_clock_of_its_own_it_takes_the_systems() {
    let store = MemoryReplayStore::new(2);
    assert!(store.is_first("a", Some(NOW)), "long ago");
    assert!(store.is_first("a", Some(u64::MAX - 1)));
    assert!(!store.is_first("a", None));
}

#[test]
fn it_prints_how_much_it_remembers_and_nothing_of_what() {
    let store = MemoryReplayStore::new(2);
    store.is_first("a", None);
    assert_eq!(format!("{store:?}"), "MemoryReplayStore { capacity: 2, len: 1 }");
}

/// What the store is, in the plainest words.
#[derive(Default)]
struct Model {
    capacity: usize,
    /// Oldest first.
    keys: Vec<(u8, Option<u64>)>,
}

impl Model {
    fn is_first(&mut self, key: u8, expires: Option<u64>, now: u64) -> bool {
        self.keys.retain(|(_, expires)| expires.is_none_or(|expires| expires > now));
        if self.keys.iter().any(|(known, _)| *known == key) {
            return false;
        }
        if self.keys.len() == self.capacity {
            let ends = self.keys.iter().map(|(_, expires)| expires.unwrap_or(u64::MAX));
            let (first_to_expire, _) = ends.enumerate().min_by_key(|&(_, expires)| expires).unwrap();
            self.keys.remove(first_to_expire);
        }
        self.keys.push((key, expires));
        true
    }
}

#[derive(Debug, Clone)]
enum Step {
    IsFirst { key: u8, expires: Option<u64> },
    Forget(u8),
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0u8..8, prop::option::of(0u64..40)).prop_map(|(key, expires)| Step::IsFirst { key, expires }),
        1 => (0u8..8).prop_map(Step::Forget),
        2 => (0u64..6).prop_map(Step::Wait),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn it_does_what_its_model_does(capacity in 1usize..6, steps in prop::collection::vec(step(), 0..80)) {
        let store = MemoryReplayStore::new(capacity);
        let mut model = Model { capacity, ..Model::default() };
        let mut now = 0;
        for step in steps {
            match step {
                Step::IsFirst { key, expires } => {
                    let first = is_first_at(&store, &key.to_string(), expires, now);
                    prop_assert_eq!(first, model.is_first(key, expires, now), "{} at {}", key, now);
                }
                Step::Forget(key) => {
                    store.remove(&key.to_string());
                    model.keys.retain(|(known, _)| *known != key);
                }
                Step::Wait(seconds) => now += seconds,
            }
            prop_assert!(store.len() <= capacity);
            prop_assert_eq!(store.len(), model.keys.len());
        }
    }
}
