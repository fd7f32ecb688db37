//! `backup`: copies the ledger into a file, whether a receiver runs or not.

use crate::admin::receiver::ReceiverArgs;
use crate::fault::Fault;
use crate::print::output::{Format, Output};
use clap::Args;
use serde_json::json;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;

const EXAMPLES: &str = "\
Examples:
  pylon-receiver backup /var/backups/pylon.db
  pylon-receiver backup pylon-$(date +%F).db --config /etc/pylon-receiver.toml

The receiver goes on meanwhile. If none runs, the ledger file is copied. To restore, put the copy into an empty folder under the
ledger's name, and start the receiver.";

/// Copy the ledger into a new file, as it is at one moment
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct BackupArgs {
    /// The file to make; one that is there is not overwritten
    #[arg(value_name = "FILE")]
    file: PathBuf,

    #[command(flatten)]
    receiver: ReceiverArgs,
}

pub(crate) async fn run(args: &BackupArgs, out: &mut Output) -> Result<(), Fault> {
    let file = &args.file;
    // Before the ledger is copied in vain.
    if file.symlink_metadata().is_ok() {
        return Err(exists(file));
    }
    let folder = match file.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    // For its owner alone: events hold customers' words.
    let copy = tempfile::Builder::new().prefix(".pylon-backup-").tempfile_in(folder);
    let mut copy = copy.map_err(|error| unwritable(file, &error))?;
    let client = args.receiver.to_ask().await?;
    let bytes = client.back_up(copy.as_file_mut()).await?;
    keep(copy, file, folder)?;
    match out.format() {
        Format::Text => out.line(&format!("{}: {:.1} MiB", file.display(), bytes as f64 / f64::from(1 << 20))),
        Format::Json => out.json(&json!({"file": file, "bytes": bytes})),
    }
}

/// Has the copy on the disk, and then under its name.
fn keep(copy: NamedTempFile, file: &Path, folder: &Path) -> Result<(), Fault> {
    copy.as_file().sync_all().map_err(|error| unwritable(file, &error))?;
    copy.persist_noclobber(file).map_err(|error| match error.error.kind() {
        ErrorKind::AlreadyExists => exists(file),
        _ => unwritable(file, &error.error),
    })?;
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(|error| unwritable(file, &error))
}

fn exists(file: &Path) -> Fault {
    Fault::failed(format!("expected no file {}, found one; name another", file.display()))
}

fn unwritable(file: &Path, error: &io::Error) -> Fault {
    Fault::failed(format!("{} cannot be written: {error}", file.display()))
}
