//! The WAL as it lies on the disk, and what SQLite says about it to the other processes that have it open.
//!
//! Tells a write of SQLite, in whatever process, from one of a program that knows nothing of it. Formats: sqlite.org/fileformat.html
//! ("The Write-Ahead Log") and sqlite.org/walformat.html ("The WAL-Index File Format").

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// The length of the database's header, and of what is read of the first page behind it, in bytes.
pub(super) const HEADER: usize = 108;
/// The length of the WAL's own header, in bytes.
const WAL_HEADER: u64 = 32;
/// The length of the header before each page, in bytes.
const FRAME_HEADER: u64 = 24;
/// Where the wal-index has the number of pages in the WAL, in the order of the machine's bytes.
const PAGES_AT: u64 = 16;
/// Where a WAL has the first page that was written into it: of a file without tables, the first page of all.
pub(super) const FIRST_PAGE: u64 = WAL_HEADER + FRAME_HEADER;

/// The beginning of the database's first page.
pub(super) type Header = [u8; HEADER];

/// The open WAL and its index.
#[derive(Debug)]
pub(super) struct Wal {
    file: File,
    /// Closed after every connection: its closing ends the locks of SQLite, which are on this file.
    index: File,
    page_size: u64,
}

/// How far a WAL was read.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Followed {
    pages: u64,
    salt: [u8; 8],
    /// The first page after the last commit; none: it has not been written since.
    pub(super) header: Option<Header>,
}

struct Frame {
    page: u32,
    salt: [u8; 8],
    header: Header,
}

impl Wal {
    /// Opens both.
    pub(super) fn open(wal: &Path, index: &Path, page_size: u64) -> io::Result<Self> {
        Ok(Self { file: File::open(wal)?, index: File::open(index)?, page_size })
    }

    /// The bytes of a page.
    pub(super) fn page_size(&self) -> u64 {
        self.page_size
    }

    /// The length of a WAL of so many pages, in bytes.
    pub(super) fn length(&self, pages: u64) -> u64 {
        if pages == 0 { 0 } else { WAL_HEADER + pages * (FRAME_HEADER + self.page_size) }
    }

    /// How many pages SQLite takes the WAL to have.
    pub(super) fn pages(&self) -> io::Result<u64> {
        let mut pages = [0; 4];
        self.index.read_exact_at(&mut pages, PAGES_AT)?;
        Ok(u32::from_ne_bytes(pages).into())
    }

    /// Whether the database's first page as it begins here is in the WAL, in whichever of its rounds.
    pub(super) fn holds(&self, header: &Header) -> bool {
        (0..).map_while(|index| self.frame(index)).any(|frame| frame.page == 1 && frame.header == *header)
    }

    /// Reads all of a WAL of so many pages.
    pub(super) fn read(&self, pages: u64) -> Followed {
        let salt = self.frame(0).map_or([0; 8], |frame| frame.salt);
        let frames = (0..pages).map_while(|index| self.frame(index)).filter(|frame| frame.page == 1);
        Followed { pages, salt, header: frames.last().map(|frame| frame.header) }
    }

    /// Reads what the last commit added to a WAL that has so many pages now. SQLite writes the pages of a commit in their order.
    pub(super) fn follow(&self, followed: &mut Followed, pages: u64) {
        let next = self.frame(followed.pages).filter(|frame| pages > followed.pages && frame.salt == followed.salt);
        // Otherwise the WAL has begun anew, with another salt.
        let first = next.or_else(|| self.frame(0).filter(|frame| frame.salt != followed.salt));
        if let Some(first) = first {
            followed.salt = first.salt;
            if first.page == 1 {
                followed.header = Some(first.header);
            }
        }
        followed.pages = pages;
    }

    fn frame(&self, index: u64) -> Option<Frame> {
        let mut frame = [0; FRAME_HEADER as usize + HEADER];
        self.file.read_exact_at(&mut frame, WAL_HEADER + index * (FRAME_HEADER + self.page_size)).ok()?;
        let (head, header) = frame.split_at(FRAME_HEADER as usize);
        Some(Frame {
            page: u32::from_be_bytes(head[..4].try_into().ok()?),
            salt: head[8..16].try_into().ok()?,
            header: header.try_into().ok()?,
        })
    }
}
