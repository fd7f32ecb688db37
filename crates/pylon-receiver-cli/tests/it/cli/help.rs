//! What `--help` says, word for word. `PYLON_RENEW_SNAPSHOTS=1 cargo test -p pylon-receiver-cli --test it cli::help` writes the
//! snapshots anew.

use super::process::cli;
use std::collections::BTreeSet;
use std::path::PathBuf;

#[test]
fn the_help_of_every_command_is_as_its_snapshot_and_has_examples() {
    let renew = std::env::var_os("PYLON_RENEW_SNAPSHOTS").is_some();
    let mut found = BTreeSet::new();
    for command in commands(&[]) {
        let help = help(&command);
        assert!(help.contains("\nExamples:\n  pylon-receiver "), "{command:?}");
        let name = std::iter::once("pylon-receiver").chain(command.iter().map(String::as_str)).collect::<Vec<_>>();
        let path = snapshots().join(format!("{}.txt", name.join("-")));
        if renew {
            std::fs::write(&path, &help).unwrap();
        }
        assert_eq!(help, std::fs::read_to_string(&path).unwrap_or_default(), "{}", path.display());
        found.insert(path);
    }
    let kept: BTreeSet<PathBuf> = std::fs::read_dir(snapshots()).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(kept, found);
}

#[test]
fn every_exit_code_is_in_the_help() {
    let help = help(&[]);
    for code in 0..=5 {
        assert!(help.contains(&format!("\n  {code}  ")), "{code}");
    }
}

#[test]
fn no_option_takes_a_secret() {
    for command in commands(&[]) {
        for line in help(&command).lines().filter(|line| line.trim_start().starts_with("--")) {
            let option = line.trim_start().split(' ').next().unwrap();
            assert!(!["--secret", "--token", "--password"].contains(&option), "{command:?}: {line}");
        }
    }
}

/// The command and all those below it.
fn commands(of: &[String]) -> Vec<Vec<String>> {
    let help = help(of);
    let mut all = vec![of.to_vec()];
    let listed = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    for line in listed {
        let name = line.split_whitespace().next().unwrap();
        if name != "help" {
            all.extend(commands(&[of, &[name.to_owned()]].concat()));
        }
    }
    all
}

#[track_caller]
fn help(command: &[String]) -> String {
    let ran = cli(&[command, &["--help".to_owned()]].concat()).run();
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{command:?}");
    ran.stdout
}

fn snapshots() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/it/cli/snapshots")
}
