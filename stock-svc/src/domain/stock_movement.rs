/// A movement between the stock that is on hand and the stock that is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StockMovement {
    /// Available stock is held.
    Hold,
    /// Held stock becomes available.
    Release,
    /// Held stock leaves for good.
    Commit,
    /// Available stock leaves for good: it is held again and committed in one step.
    HoldAndCommit,
    /// Stock comes back onto the shelf.
    Restock,
}

impl StockMovement {
    /// The signs with which each piece changes `on_hand` and `held`.
    pub const fn signs(self) -> (i64, i64) {
        match self {
            StockMovement::Hold => (0, 1),
            StockMovement::Release => (0, -1),
            StockMovement::Commit => (-1, -1),
            StockMovement::HoldAndCommit => (-1, 0),
            StockMovement::Restock => (1, 0),
        }
    }

    /// The name in the ledger of movements; none if `on_hand` doesn't change.
    pub const fn kind(self) -> Option<&'static str> {
        match self {
            StockMovement::Hold | StockMovement::Release => None,
            StockMovement::Commit | StockMovement::HoldAndCommit => Some("committed"),
            StockMovement::Restock => Some("restocked"),
        }
    }
}
