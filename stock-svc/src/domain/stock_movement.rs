/// How pieces move between shelf and hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StockMovement {
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

impl StockMovement {
    /// By what sign each piece changes on_hand and held.
    pub const fn signs(self) -> (i64, i64) {
        match self {
            StockMovement::Hold => (0, 1),
            StockMovement::Release => (0, -1),
            StockMovement::Commit => (-1, -1),
            StockMovement::HoldAndCommit => (-1, 0),
            StockMovement::Restock => (1, 0),
        }
    }

    /// What the ledger of movements calls it; nothing when on_hand stays.
    pub const fn kind(self) -> Option<&'static str> {
        match self {
            StockMovement::Hold | StockMovement::Release => None,
            StockMovement::Commit | StockMovement::HoldAndCommit => Some("committed"),
            StockMovement::Restock => Some("restocked"),
        }
    }
}
