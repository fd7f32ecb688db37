use super::*;
use pylon_receiver::config::JsonLinesTransport;
use pylon_receiver::internals::Delivered;
use pylon_receiver::text::show_duration;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

/// What a test that runs again under a limit finds its file by.
const LIMITED: &str = "PYLON_RECEIVER_TEST_LIMITED";

fn lines_at(path: &Path) -> TransportConfig {
    TransportConfig::JsonLines(JsonLinesTransport::new(path))
}

fn written() -> Report {
    Report::delivered(None, "written")
}

/// A folder, and a file in it that is not there yet.
fn file() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.jsonl");
    (folder, path)
}

fn line(body: &str) -> String {
    format!(
        r#"{{"event_id":"{EVENT}","delivery_id":"{EVENT}.2","attempt":3,"received_at":"2023-11-14T22:13:20Z","endpoint":"webhook","name":"Issue.New","kind":"issue_new","headers":[["content-type","application/json"]],{body}}}"#
    ) + "\n"
}

#[tokio::test]
async fn an_event_is_one_line() {
    let cases: [(&[u8], &str); 6] = [
        (b"{}", r#""body":"{}""#),
        (b"", r#""body":"""#),
        (b"{\n\t\"a\": 1\r\n}\n", r#""body":"{\n\t\"a\": 1\r\n}\n""#),
        ("gr\u{fc}n \u{2028}\0".as_bytes(), "\"body\":\"gr\u{fc}n \u{2028}\\u0000\""),
        (b"\xff\x00", r#""body_base64":"/wA=""#),
        (b"\xed\xa0\x80", r#""body_base64":"7aCA""#),
    ];
    let (_folder, path) = file();
    let transport = transport(&destination(lines_at(&path), PATIENCE), None).unwrap();
    let mut expected = String::new();
    for (body, shown) in cases {
        let sent = Attempt { body: body.to_vec().into(), ..attempt() };
        assert_eq!(within("the attempt ends", transport.deliver(&sent)).await, written());
        expected.push_str(&line(shown));
        assert_eq!(fs::read_to_string(&path).unwrap(), expected);
    }
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
}

#[tokio::test]
async fn hostile_headers_and_names_stay_within_their_line() {
    let (_folder, path) = file();
    let stored = Headers::from_stored(&b"x-many: one\nx-many: two\nx-odd: \xff\"\r\x1b\nx-empty: \n"[..]);
    let sent = Attempt { headers: stored, name: "a\n{\"event_id\":\"".into(), kind: None, ..attempt() };
    assert_eq!(deliver(lines_at(&path), PATIENCE, &sent).await, written());
    let text = fs::read_to_string(&path).unwrap();
    assert_eq!(text.matches('\n').count(), 1);
    let line: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&line["name"], &line["kind"]), (&"a\n{\"event_id\":\"".into(), &serde_json::Value::Null));
    let headers =
        serde_json::json!([["x-many", "one"], ["x-many", "two"], ["x-odd", "\u{fffd}\"\r\u{1b}"], ["x-empty", ""]]);
    assert_eq!(line["headers"], headers);
}

#[tokio::test]
async fn credentials_are_left_out() {
    let (_folder, path) = file();
    let stored = Headers::from_stored(
        &b"authorization: Bearer hidden\nx-kept: one\ncookie: a=hidden\nx-api-key: hidden\nx-pylon-signature: hidden\n"
            [..],
    );
    let sent = Attempt { headers: stored, ..attempt() };
    assert_eq!(deliver(lines_at(&path), PATIENCE, &sent).await, written());
    let text = fs::read_to_string(&path).unwrap();
    assert!(!text.contains("hidden"), "{text}");
    let line: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(line["headers"], serde_json::json!([["x-kept", "one"]]));
}

#[tokio::test]
async fn a_file_can_be_moved_away_between_two_lines() {
    let (folder, path) = file();
    let transport = transport(&destination(lines_at(&path), PATIENCE), None).unwrap();
    assert_eq!(within("the attempt ends", transport.deliver(&attempt())).await, written());
    let moved = folder.path().join("events.jsonl.1");
    fs::rename(&path, &moved).unwrap();
    assert_eq!(within("the attempt ends", transport.deliver(&attempt())).await, written());
    for path in [moved, path] {
        assert_eq!(fs::read_to_string(path).unwrap().lines().count(), 1);
    }
}

/// What a line of ours that never came to its end may look like, behind whole ones.
fn torn() -> Vec<String> {
    let whole = line(r#""body":"{}""#);
    let mut torn: Vec<String> = (1..140).map(|length| whole[..length].to_owned()).collect();
    torn.push(whole[..whole.len() - 1].to_owned());
    torn.push(format!("{}{}", &whole[..whole.len() - 10], "x".repeat(200_000)));
    torn.extend(["\0".to_owned(), "\0".repeat(200_000)]);
    torn
}

#[tokio::test]
async fn a_torn_line_of_ours_is_cut_off() {
    let whole = line(r#""body":"{}""#);
    for torn in torn() {
        // Alone in a file, it must say whose it is.
        let is_named = torn.len() >= 13 && torn.starts_with('{');
        for before in [is_named.then_some(0), Some(1), Some(2)].into_iter().flatten().map(|count| whole.repeat(count)) {
            let (_folder, path) = file();
            fs::write(&path, format!("{before}{torn}")).unwrap();
            let sent = Attempt { body: "{}".into(), ..attempt() };
            assert_eq!(deliver(lines_at(&path), PATIENCE, &sent).await, written(), "{before:.9}{torn:.99}");
            assert_eq!(fs::read_to_string(&path).unwrap(), format!("{before}{whole}"), "{torn:.99}");
        }
    }
}

#[tokio::test]
async fn a_file_that_is_somebody_elses_is_left_alone() {
    const BEGINS: &str = "not written: the file does not begin with a line of ours; move it away, or name another file";
    const ENDS: &str = "not written: the file ends in something that is no line of ours; move it away";
    let whole = line(r#""body":"{}""#);
    let zeros_without_a_line = "\0".repeat(750_000) + &"x".repeat(750_000);
    let (other_event, other_number) =
        (format!("{{\"event_id\":\"{EVENT}\",\"delivery_id\":\"{}\"", "0".repeat(36)), "1");
    let cases: Vec<(String, &str)> = vec![
        ("SQLite format 3\0".into(), BEGINS),
        ("a line\nand another".into(), BEGINS),
        ("a line\n".into(), BEGINS),
        ("\n".into(), BEGINS),
        ("{\"event\"".into(), BEGINS),
        ("{".into(), BEGINS),
        ("{\"event_id\":\"1\"}\n".into(), BEGINS),
        ("{\"event_id\":\"not-an-id-of-ours-but-long-enough-to-be\",\"name\":1}\n".into(), BEGINS),
        ("{\"event_id\":".into(), BEGINS),
        ("{\"event_id\":\"01a2\n".into(), BEGINS),
        (other_event.clone(), BEGINS),
        ("\0".into(), BEGINS),
        ("\0\0x".into(), BEGINS),
        ("\0".repeat(1_500_000), BEGINS),
        (zeros_without_a_line, BEGINS),
        (format!("\0{whole}"), BEGINS),
        (format!("a line\n{}", &whole[..99]), BEGINS),
        (format!("{whole}a line"), ENDS),
        (format!("{whole}{{\"event\":"), ENDS),
        (format!("{whole}{{\"event_id\":\"{other_number}\"}}"), ENDS),
        (format!("{whole}{other_event}"), ENDS),
        (format!("{whole}\0x"), ENDS),
        (format!("{whole}{}x", "\0".repeat(150_000)), ENDS),
    ];
    for (text, detail) in cases {
        let (_folder, path) = file();
        fs::write(&path, &text).unwrap();
        let report = deliver(lines_at(&path), PATIENCE, &attempt()).await;
        assert_eq!(report, Report::failed(Code::NOT_WRITTEN, None, detail), "{text:.99}");
        assert!(fs::read_to_string(&path).unwrap() == text, "{text:.99}");
    }
}

/// While the file is locked, its path comes to lead elsewhere.
#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn a_line_goes_to_the_file_that_the_path_leads_to_when_it_is_written() {
    let (folder, path) = file();
    fs::write(&path, "").unwrap();
    let rotating = fs::File::open(&path).unwrap();
    rotating.lock().unwrap();
    let attempting = {
        let path = path.clone();
        tokio::spawn(async move { deliver(lines_at(&path), PATIENCE, &attempt()).await })
    };
    // It has the file open, and waits.
    let opened = path.canonicalize().unwrap();
    eventually("it has the file open too", || crate::sqlite::descriptors_of(&opened) > 1);
    let moved = folder.path().join("events.jsonl.1");
    fs::rename(&path, &moved).unwrap();
    rotating.unlock().unwrap();
    assert_eq!(within("the attempt ends", attempting).await.unwrap(), written());
    assert_eq!(
        (fs::read_to_string(moved).unwrap().lines().count(), fs::read_to_string(path).unwrap().lines().count()),
        (0, 1)
    );
}

#[tokio::test]
async fn what_cannot_be_written_fails_and_says_why() {
    let (folder, path) = file();
    let cases = [
        (folder.path().join("no/such/folder"), "not written: No such file or directory (os error 2)"),
        (folder.path().to_owned(), "not written: expected a regular file, found a folder"),
        (PathBuf::from("/dev/null"), "not written: expected a regular file, found a device"),
        (PathBuf::from("/dev/full"), "not written: expected a regular file, found a device"),
    ];
    for (path, detail) in cases {
        let report = deliver(lines_at(&path), PATIENCE, &attempt()).await;
        assert_eq!(report, Report::failed(Code::NOT_WRITTEN, None, detail), "{}", path.display());
    }
    assert!(!path.exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_of_many_writers_do_not_mix() {
    const EACH: usize = 20;
    let (_folder, path) = file();
    let big: Arc<str> = "x".repeat(100_000).into();
    // Two that know nothing of each other, as before and after a reload.
    let transports = [(); 2].map(|()| transport(&destination(lines_at(&path), PATIENCE), None).unwrap());
    let mut tasks = Vec::new();
    for number in 0..2 * EACH {
        let transport = Arc::clone(&transports[number % 2]);
        let sent = Attempt { number: u32::try_from(number).unwrap(), body: big.to_string().into(), ..attempt() };
        tasks.push(tokio::spawn(async move { within("the attempt ends", transport.deliver(&sent)).await }));
    }
    for task in tasks {
        assert_eq!(task.await.unwrap(), written());
    }
    let text = fs::read_to_string(&path).unwrap();
    let mut numbers: Vec<u64> = text
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["attempt"].as_u64().unwrap())
        .collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (0..2 * EACH as u64).collect::<Vec<_>>());
}

#[tokio::test]
async fn whoever_waits_for_the_lock_gives_up_in_time() {
    let (_folder, path) = file();
    fs::write(&path, "").unwrap();
    let holder = fs::File::open(&path).unwrap();
    holder.lock().unwrap();
    let transport = transport(&destination(lines_at(&path), BRIEF), None).unwrap();
    let late = Report::failed(Code::TIMEOUT, None, format!("not written within {}", show_duration(BRIEF)));
    assert_eq!(within("the attempt ends", transport.deliver(&attempt())).await, late);
    assert_eq!(within("the attempt ends", transport.deliver(&attempt())).await, late, "the one before it still waits");
    holder.unlock().unwrap();
    eventually("what had begun is written", || fs::read_to_string(&path).unwrap().ends_with('\n'));
}

/// The limit on a file's size stands for a full disk: a part of the line is written, the rest is not.
#[test]
fn a_line_that_does_not_fit_leaves_nothing_behind() {
    let (_folder, path) = file();
    let script = "trap '' XFSZ; ulimit -f 2; exec \"$0\" --exact \"$1\" --ignored --nocapture";
    let output = Command::new("/bin/sh")
        .args(["-c", script])
        .arg(std::env::current_exe().unwrap())
        .arg("transports::json_lines::fills_a_file_up_to_its_limit")
        .env(LIMITED, &path)
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && told.contains("1 passed"), "{told}");
}

#[test]
#[ignore = "it runs within the test above, under a limit on the size of files"]
fn fills_a_file_up_to_its_limit() {
    let Some(path) = std::env::var_os(LIMITED).map(PathBuf::from) else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let transport = transport(&destination(lines_at(&path), PATIENCE), None).unwrap();
        let mut delivered = 0;
        let failed = loop {
            match within("the attempt ends", transport.deliver(&attempt())).await {
                report if report.delivered == Delivered::Yes && delivered < 100 => delivered += 1,
                report => break report,
            }
        };
        assert_eq!(failed, Report::failed(Code::NOT_WRITTEN, None, "not written: File too large (os error 27)"));
        let text = fs::read_to_string(&path).unwrap();
        assert!(delivered > 0 && text.ends_with('\n'), "{delivered}");
        assert_eq!(text.lines().count(), delivered);
    });
}
