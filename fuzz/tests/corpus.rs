//! What fuzzers are given to begin with, and what they found before, run through the targets.

use std::path::PathBuf;

#[test]
fn every_file_of_the_headers_corpus_passes() {
    replay("headers", pylon_webhooks_fuzz::headers);
}

#[test]
fn every_file_of_the_event_corpus_passes() {
    replay("event", pylon_webhooks_fuzz::event);
}

#[test]
fn every_file_of_the_differential_corpus_passes() {
    replay("differential", pylon_webhooks_fuzz::differential);
}

fn replay(name: &str, target: fn(&[u8])) {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("corpus").join(name);
    let mut paths: Vec<PathBuf> =
        folder.read_dir().expect("the corpus stands in the repository").map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(paths.len() >= 10, "{} files in {}", paths.len(), folder.display());
    for path in paths {
        println!("{}", path.display());
        target(&std::fs::read(&path).unwrap());
    }
}
