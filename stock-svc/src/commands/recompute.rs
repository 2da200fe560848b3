use std::fmt;

use diesel_async::AsyncConnection;
use service_kit::Pool;

use super::CommandError;
use crate::store::books::{self, WrongLevel, WrongMovement};

/// What a look into the books has found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recomputed {
    /// Levels that aren't the sums of their movements and holds.
    pub levels: Vec<WrongLevel>,
    /// Movements that aren't what became of the orders they were made for.
    pub movements: Vec<WrongMovement>,
    /// Which of the levels were set to their sums.
    pub mended: Vec<String>,
}

/// Compares each level with the sum of its movements and of its live holds, and each order's movements with what became of
/// its lines. With `repair`, sets levels to these sums, while nobody moves anything; but not where the movements themselves
/// contradict their orders, nor where less than nothing would be available.
///
/// # Errors
/// The database fails; then nothing is repaired.
pub async fn recompute(pool: &Pool, repair: bool) -> Result<Recomputed, CommandError> {
    let mut conn = pool.get().await?;
    conn.transaction(async |conn| {
        if repair {
            books::close(conn).await?;
        }
        let (levels, movements) = (books::wrong_levels(conn).await?, books::wrong_movements(conn).await?);
        let mut found = Recomputed { levels, movements, mended: Vec::new() };
        for wrong in found.levels.iter().filter(|_| repair) {
            let doubtful = found.movements.iter().any(|movement| movement.sku == wrong.sku);
            let possible = wrong.holds >= 0 && wrong.moved >= wrong.holds;
            if possible && !doubtful && books::mend(conn, wrong).await? {
                found.mended.push(wrong.sku.clone());
            }
        }
        Ok(found)
    })
    .await
}

impl Recomputed {
    /// How many differences are left.
    pub fn open(&self) -> usize {
        self.levels.len() + self.movements.len() - self.mended.len()
    }
}

impl fmt::Display for Recomputed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for WrongLevel { sku, on_hand, moved, held, holds } in &self.levels {
            if on_hand != moved {
                writeln!(f, "{sku}: the level says {on_hand} on hand, its movements {moved}")?;
            }
            if held != holds {
                writeln!(f, "{sku}: the level says {held} held, the live holds {holds}")?;
            }
        }
        for WrongMovement { sku, order_id, kind, moved, expected } in &self.movements {
            writeln!(f, "{sku}: order {order_id} has movements of {moved} {kind}, its lines say {expected}")?;
        }
        self.mended.iter().try_for_each(|sku| writeln!(f, "{sku}: the level is set to what movements and holds say"))
    }
}
