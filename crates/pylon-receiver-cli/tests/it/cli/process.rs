//! Runs the binary in an empty folder, with nothing of the environment but what a test gives it.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

/// What one run printed, and with what it ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Ran {
    pub(super) code: i32,
    pub(super) stdout: String,
    pub(super) stderr: String,
}

/// A run in the making.
pub(super) struct Run {
    command: Command,
    input: Vec<u8>,
    folder: tempfile::TempDir,
}

pub(super) const SECRET: &str = "test-secret";

/// The binary with these arguments; the secret is where the commands look for it.
pub(super) fn cli<S: AsRef<str>>(arguments: &[S]) -> Run {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_pylon-receiver"));
    command.args(arguments.iter().map(AsRef::as_ref)).env_clear().env("PYLON_WEBHOOK_SECRET", SECRET);
    command.current_dir(folder.path());
    Run { command, input: Vec::new(), folder }
}

impl Run {
    pub(super) fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    pub(super) fn without_secret(mut self) -> Self {
        self.command.env_remove("PYLON_WEBHOOK_SECRET");
        self
    }

    pub(super) fn input(mut self, input: impl Into<Vec<u8>>) -> Self {
        self.input = input.into();
        self
    }

    /// A file in the folder in which it runs.
    pub(super) fn file(self, name: impl AsRef<Path>, content: impl AsRef<[u8]>) -> Self {
        std::fs::write(self.folder.path().join(name), content).unwrap();
        self
    }

    pub(super) fn run(self) -> Ran {
        self.run_into(Stdio::piped())
    }

    /// Runs it with this as standard output, of which nothing is read unless it is a pipe.
    pub(super) fn run_into(mut self, stdout: impl Into<Stdio>) -> Ran {
        let command = self.command.stdin(Stdio::piped()).stdout(stdout).stderr(Stdio::piped());
        let mut process = command.spawn().unwrap();
        // Commands that read no input may be gone before it is written.
        let _ = process.stdin.take().unwrap().write_all(&self.input);
        let output = process.wait_with_output().unwrap();
        Ran {
            code: output.status.code().unwrap(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Starts it and leaves the pipes to the test.
    pub(super) fn start(mut self) -> (std::process::Child, tempfile::TempDir) {
        let command = self.command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        (command.spawn().unwrap(), self.folder)
    }
}

impl Ran {
    /// It went well, said nothing on standard error, and printed this.
    #[track_caller]
    pub(super) fn prints(&self, stdout: &str) {
        assert_eq!((self.code, self.stderr.as_str()), (0, ""), "{}", self.stdout);
        assert_eq!(self.stdout, stdout);
    }

    /// It ended with this code and this sentence, and printed nothing else.
    #[track_caller]
    pub(super) fn fails(&self, code: i32, sentence: &str) {
        assert_eq!((self.stdout.as_str(), self.stderr.as_str()), ("", format!("error: {sentence}\n").as_str()));
        assert_eq!(self.code, code);
    }
}
