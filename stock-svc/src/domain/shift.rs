/// How pieces move between shelf and hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Shift {
    /// From available to held.
    Hold,
    /// From held back to available.
    Release,
    /// Held ones leave for good.
    Commit,
    /// Available ones leave for good: held again and committed in one.
    HoldAndCommit,
    /// They come back to the shelf.
    Restock,
}

impl Shift {
    /// By what sign each piece changes on_hand and held.
    pub const fn signs(self) -> (i64, i64) {
        match self {
            Shift::Hold => (0, 1),
            Shift::Release => (0, -1),
            Shift::Commit => (-1, -1),
            Shift::HoldAndCommit => (-1, 0),
            Shift::Restock => (1, 0),
        }
    }

    /// What the ledger of movements calls it; nothing when on_hand stays.
    pub const fn movement(self) -> Option<&'static str> {
        match self {
            Shift::Hold | Shift::Release => None,
            Shift::Commit | Shift::HoldAndCommit => Some("committed"),
            Shift::Restock => Some("restocked"),
        }
    }
}
