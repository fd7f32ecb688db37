//! What an answer of 200 promises.

/// On how many disks an event is before its sender gets 200.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Promise {
    /// On one.
    #[default]
    OneDisk,
    /// On two: a standby has it too.
    TwoDisks,
}

impl Promise {
    /// The number.
    pub const fn disks(self) -> u32 {
        match self {
            Self::OneDisk => 1,
            Self::TwoDisks => 2,
        }
    }
}
