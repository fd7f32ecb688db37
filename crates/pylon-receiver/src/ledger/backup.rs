//! A copy of a ledger.

use std::fs::File;
use std::io;

/// A consistent copy of a ledger as it was at one moment, in a file that has no name: it is gone once this is dropped.
#[derive(Debug)]
pub struct Backup {
    file: File,
    length: u64,
}

impl Backup {
    /// The copy in a file.
    ///
    /// # Errors
    /// The file's length cannot be read.
    pub fn new(file: File) -> io::Result<Self> {
        let length = file.metadata()?.len();
        Ok(Self { file, length })
    }

    /// The length in bytes.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// The file, to be read from its beginning.
    pub fn into_file(self) -> File {
        self.file
    }
}
