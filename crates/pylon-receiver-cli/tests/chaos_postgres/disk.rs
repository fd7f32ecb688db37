//! A small disk for the data of a PostgreSQL, in memory, so that it can be full.

use pylon_test_support::postgres::{Cluster, Stop};
use std::ffi::OsStr;
use std::fs::File;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

/// What its size is, in MiB: the data of the longest run, and as much again.
const SIZE: u32 = 512;
/// Set for the process that has mounts of its own.
const OWN_MOUNTS: &str = "CHAOS_OWN_MOUNTS";
/// What is on the data folder's place once there is room for it.
const MOVE: &str = r#"
set -e
data=$1 disk=$2
mkdir -m 0700 "$disk"
mount -t tmpfs -o "size=$3m,mode=0700" pylon-chaos "$disk"
cp -a "$data/." "$disk"
chown --reference="$data" "$disk"
mount --bind "$disk" "$data"
umount "$disk"
rmdir "$disk"
"#;

/// Goes on as a process whose mounts nobody else sees, and which go with it, if it may have such.
pub(crate) fn have_mounts_of_our_own() {
    let unshare = |program: &OsStr| {
        let mut command = Command::new("unshare");
        command.arg("--mount").arg(program);
        command
    };
    let may = || unshare("true".as_ref()).output().is_ok_and(|output| output.status.success());
    if std::env::var_os(OWN_MOUNTS).is_none() && may() {
        let own = std::env::current_exe().expect("Linux tells where the program is");
        let error = unshare(own.as_os_str()).args(std::env::args_os().skip(1)).env(OWN_MOUNTS, "1").exec();
        panic!("unshare cannot be run, and could be a moment ago: {error}");
    }
}

/// A disk at the place of a data folder, until it is dropped.
#[derive(Debug)]
pub(crate) struct SmallDisk {
    data: PathBuf,
}

impl SmallDisk {
    /// Moves the data of a PostgreSQL there, and starts it again.
    ///
    /// # Errors
    /// Why that is not possible here. It runs as before then.
    pub(crate) fn under(cluster: &Cluster) -> Result<Self, String> {
        if std::env::var_os(OWN_MOUNTS).is_none() {
            return Err("this needs root, and util-linux's unshare".to_owned());
        }
        let (data, disk) = (cluster.data_folder(), cluster.socket_folder().join("disk"));
        cluster.stop(Stop::Fast);
        let mut shell = Command::new("sh");
        shell.args(["-c", MOVE, "sh"]).arg(&data).arg(&disk).arg(SIZE.to_string());
        let output = shell.output().map_err(|error| format!("no shell runs: {error}"))?;
        if !output.status.success() {
            let _ = Command::new("umount").arg(&disk).output();
            let _ = std::fs::remove_dir(&disk);
            cluster.restart();
            return Err(format!(
                "no disk of its own can be mounted: {}",
                String::from_utf8_lossy(&output.stderr).trim()
            ));
        }
        let disk = Self { data };
        cluster.restart();
        Ok(disk)
    }

    /// Takes all room that is left, and keeps it until this is dropped.
    pub(crate) fn fill(&self) -> Ballast {
        let path = self.data.join("ballast");
        let mut file = File::create(&path).expect("the folder is reachable");
        for size in [1 << 20, 1 << 12, 1] {
            // It ends when the disk is full.
            while file.write_all(&vec![0; size]).is_ok() {}
        }
        Ballast(path)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // What still runs there ends with its cluster; the mount goes when that has ended.
        let _ = Command::new("umount").arg("--lazy").arg(&self.data).output();
    }
}

/// What fills a disk.
#[derive(Debug)]
pub(crate) struct Ballast(PathBuf);

impl Ballast {
    /// Takes what became free meanwhile.
    pub(crate) fn grow(&self) {
        if let Ok(mut file) = File::options().append(true).open(&self.0) {
            while file.write_all(&[0; 1 << 12]).is_ok() {}
        }
    }
}

impl Drop for Ballast {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}
