use super::*;
use pylon_receiver::config::CommandTransport;
use pylon_receiver::text::show_duration;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use tempfile::TempDir;

/// A shell that runs a script which ends where it stands; `$1` is the folder.
fn shell(script: &str, folder: &TempDir) -> TransportConfig {
    let folder = folder.path().to_str().unwrap();
    command(&["/bin/sh", "-c", script, "sh", folder], &[])
}

fn command(words: &[&str], environment: &[&str]) -> TransportConfig {
    let owned = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect();
    TransportConfig::Command(CommandTransport::new(owned(words)).environment(owned(environment)))
}

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

/// It ran, and said this at last.
fn exited(code: i32, line: &str) -> Report {
    let cause = format!("exit code {code}");
    let detail = if line.is_empty() { cause.clone() } else { format!("{cause}: {line}") };
    Report::refused(Code::Exit(code), Some(code), cause).with_detail(detail)
}

#[tokio::test]
async fn how_a_command_ends_decides() {
    let folder = folder();
    let cases: Vec<(&str, Report)> = vec![
        ("cat > /dev/null", Report::delivered(Some(0), "exit code 0")),
        ("exit 0", Report::delivered(Some(0), "exit code 0")),
        ("echo sesame; echo sesame >&2; exit 0", Report::delivered(Some(0), "exit code 0")),
        ("exit 1", exited(1, "")),
        ("exit 255", exited(255, "")),
        ("echo lost; exit 3", exited(3, "")),
        ("echo 'the disk is full' >&2; exit 3", exited(3, "the disk is full")),
        ("printf 'first\\nlast' >&2; exit 3", exited(3, "last")),
        ("printf 'first\\nlast\\r\\n\\n  \\n' >&2; exit 3", exited(3, "last")),
        ("printf '\\n\\n' >&2; exit 3", exited(3, "")),
        ("printf 'a\\033[31mb\\tc\\000d' >&2; exit 3", exited(3, r"a\u{1b}[31mb\tc\u{0}d")),
        ("printf '\\377gr\\303\\274n' >&2; exit 3", exited(3, "\u{fffd}gr\u{fc}n")),
        ("exec 2>&-; exit 3", exited(3, "")),
        (
            "echo why >&2; kill -TERM $$",
            Report::refused(Code::Signal(15), None, "ended by signal 15").with_detail("ended by signal 15: why"),
        ),
        ("kill -KILL $$", Report::refused(Code::Signal(9), None, "ended by signal 9")),
    ];
    for (script, expected) in cases {
        // What is kept beside the last line is another matter.
        let report = deliver(shell(script, &folder), PATIENCE, &attempt()).await.with_answer(None);
        assert_eq!(report, expected, "{script}");
    }
}

#[tokio::test]
async fn a_long_last_line_is_cut() {
    let folder = folder();
    let report =
        deliver(shell("head -c 1000000 /dev/zero | tr '\\0' x >&2; exit 3", &folder), PATIENCE, &attempt()).await;
    assert_eq!(report.with_answer(None), exited(3, &"x".repeat(200)));
}

#[tokio::test]
async fn what_cannot_be_started_fails_and_says_why() {
    let folder = folder();
    let file = |name: &str, text: &str, mode: u32| -> PathBuf {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
        path
    };
    let not_found = "the command, or the interpreter that its first line names, is not found";
    let cases = [
        (PathBuf::from("no-such-command-here"), not_found),
        (folder.path().join("no-such-file"), not_found),
        (file("no-interpreter", "#!/no/such/interpreter\n", 0o700), not_found),
        (file("not-executable", "#!/bin/sh\n", 0o600), "the command may not be executed"),
        (folder.path().to_owned(), "the command may not be executed"),
        (file("neither", "\0\0\0\0", 0o700), "the command cannot be started: Exec format error (os error 8)"),
        (PathBuf::new(), not_found),
    ];
    for (path, detail) in cases {
        let report = deliver(command(&[path.to_str().unwrap()], &[]), PATIENCE, &attempt()).await;
        let code = match detail {
            "the command may not be executed" => Code::DENIED,
            detail if detail == not_found => Code::NOT_FOUND,
            _ => Code::NOT_STARTED,
        };
        assert_eq!(report, Report::failed(code, None, detail), "{}", path.display());
    }
    let report = deliver(command(&[], &[]), PATIENCE, &attempt()).await;
    assert_eq!(report, Report::failed(Code::NOT_FOUND, None, not_found), "no command at all");
}

#[tokio::test]
async fn the_body_comes_on_standard_input_byte_for_byte() {
    let folder = folder();
    for length in [0, 1, 255, 1 << 20] {
        let body: Vec<u8> = (0..=255).cycle().take(length).collect();
        let sent = Attempt { body: body.clone().into(), ..attempt() };
        let report = deliver(shell("cat > \"$1/body\"", &folder), PATIENCE, &sent).await;
        assert_eq!(report, Report::delivered(Some(0), "exit code 0"));
        assert_eq!(std::fs::read(folder.path().join("body")).unwrap(), body);
    }
}

#[tokio::test]
async fn a_command_need_not_read_what_it_is_given() {
    let folder = folder();
    let sent = Attempt { body: vec![b'x'; 1 << 20].into(), ..attempt() };
    for script in ["exit 0", "exec <&-; exit 0", "head -c 10 > /dev/null"] {
        let report = deliver(shell(script, &folder), PATIENCE, &sent).await;
        assert_eq!(report, Report::delivered(Some(0), "exit code 0"), "{script}");
    }
}

#[tokio::test]
async fn a_command_sees_the_configured_variables_and_the_ids_alone() {
    let folder = folder();
    // What it sees anyway, and what the shell adds.
    let anyway = ["PATH", "HOME", "LANG", "TZ", "PWD", "OLDPWD", "SHLVL", "_"];
    // Of whatever this process has, one variable is shown, and the others are not.
    let shown = std::env::vars().find(|(name, value)| !anyway.contains(&name.as_str()) && !value.contains('\n'));
    let (name, value) = shown.expect("whoever runs tests sets more than that");
    let words = ["/bin/sh", "-c", "env > \"$1/env\"", "sh", folder.path().to_str().unwrap()];
    let config = command(&words, &[&name, "NEVER_SET_ANYWHERE"]);
    assert_eq!(deliver(config, PATIENCE, &attempt()).await, Report::delivered(Some(0), "exit code 0"));
    let seen = std::fs::read_to_string(folder.path().join("env")).unwrap();
    let is_anyway = |line: &&str| line.split_once('=').is_some_and(|(name, _)| anyway.contains(&name));
    let mut seen: Vec<&str> = seen.lines().filter(|line| !is_anyway(line)).collect();
    let mut expected = [
        format!("{name}={value}"),
        "PYLON_ATTEMPT=3".to_owned(),
        format!("PYLON_DELIVERY_ID={EVENT}.2"),
        "PYLON_ENDPOINT=webhook".to_owned(),
        format!("PYLON_EVENT_ID={EVENT}"),
        "PYLON_KIND=issue_new".to_owned(),
        "PYLON_NAME=Issue.New".to_owned(),
        "PYLON_RECEIVED_AT=2023-11-14T22:13:20Z".to_owned(),
    ];
    seen.sort_unstable();
    expected.sort_unstable();
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn a_name_from_a_hostile_body_starts_nothing_else() {
    let folder = folder();
    let (longest, longer) = ("k".repeat(256), "k".repeat(1 << 20));
    for (name, expected) in [
        ("$(touch pwned); `x` \"'\n", "$(touch pwned); `x` \"'\n"),
        ("gr\u{fc}n", "gr\u{fc}n"),
        (&longest, &longest),
        (&longer, ""),
        ("a\0b", ""),
        ("", ""),
    ] {
        let sent = Attempt { name: name.into(), kind: None, ..attempt() };
        let report =
            deliver(shell("printf '%s|%s' \"$PYLON_NAME\" \"$PYLON_KIND\" > \"$1/name\"", &folder), PATIENCE, &sent)
                .await;
        assert_eq!(report, Report::delivered(Some(0), "exit code 0"));
        assert_eq!(
            std::fs::read_to_string(folder.path().join("name")).unwrap(),
            format!("{expected}|"),
            "no known kind"
        );
    }
}

#[tokio::test]
async fn a_command_that_hangs_is_killed_with_all_it_started() {
    let folder = folder();
    let script = "sleep 1000 & echo $! > \"$1/child\"; echo $$ > \"$1/self\"; echo 'waiting for the lock' >&2; wait";
    // The time is up only once the script has said everything, however slow the machine is.
    let transport = transport(&destination(shell(script, &folder), Duration::from_secs(2)), None).unwrap();
    let limit = show_duration(Duration::from_secs(2));
    let report = within("the attempt ends", transport.deliver(&attempt())).await;
    let sentence = format!("no exit within {limit}: killed");
    let detail = format!("{sentence}: waiting for the lock");
    assert_eq!(report, Report::failed(Code::TIMEOUT, None, sentence).with_detail(detail));
    for name in ["self", "child"] {
        let process = std::fs::read_to_string(folder.path().join(name)).unwrap();
        eventually("it is gone", || !is_alive(&process));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_drops_the_future_kills_the_command_with_all_it_started() {
    let folder = folder();
    let script =
        "trap '' TERM; sleep 1000 & echo $! > \"$1/child\"; echo $$ > \"$1/new\"; mv \"$1/new\" \"$1/self\"; wait";
    let config = shell(script, &folder);
    let running = tokio::spawn(async move { deliver(config, PATIENCE, &attempt()).await });
    eventually("it has begun", || folder.path().join("self").exists());
    running.abort();
    assert!(within("it is aborted", running).await.unwrap_err().is_cancelled());
    for name in ["self", "child"] {
        let process = std::fs::read_to_string(folder.path().join(name)).unwrap();
        eventually("it is gone", || !is_alive(&process));
    }
    let own = std::fs::read_to_string(folder.path().join("self")).unwrap();
    eventually("it is buried", || !Path::new("/proc").join(own.trim()).exists());
}

#[tokio::test]
async fn what_a_command_leaves_behind_is_not_waited_for_and_runs_on() {
    let folder = folder();
    let sent = Attempt { body: vec![b'x'; 1 << 20].into(), ..attempt() };
    // Its child holds standard input and standard error open.
    let script = "exec 3<&0; sleep 1000 <&3 & echo $! > \"$1/child\"; echo why >&2; exit 3";
    let report = deliver(shell(script, &folder), PATIENCE, &sent).await;
    assert_eq!(report, exited(3, "why"));
    let child = std::fs::read_to_string(folder.path().join("child")).unwrap();
    assert!(is_alive(&child));
    let number = rustix::process::Pid::from_raw(child.trim().parse().unwrap()).unwrap();
    rustix::process::kill_process(number, rustix::process::Signal::KILL).unwrap();
}
