use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;

use anyhow::{Context, bail, ensure};
use diesel::result::Error as DieselError;
use diesel_async::AsyncPgConnection;
use service_kit::progress::Progress;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::store::books::{self, Books, Range, WrongMovement};

/// How much one step compares: about some milliseconds' work.
const ORDERS: i64 = 2_000;
const SKUS: i64 = 200;

/// Where a comparison begins, so that a stopped one can continue. It goes through all orders first, and then through
/// all levels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Start {
    Orders(Uuid),
    Levels(String),
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recomputed {
    /// The number of SKUs that were compared.
    pub levels: usize,
    /// The number of differences that are left.
    pub left: usize,
}

/// Compares each order's movements with its lines, and then each level with the sums of its movements and of the
/// quantities held. It goes range by range, without locks; each range is read in one snapshot. It writes a line for
/// each difference. With `repair` it corrects levels by their differences, unless the movements contradict their orders
/// or the available stock would be negative. Fails if the database fails, or when told to stop. The error says where to
/// continue.
pub async fn recompute(
    conn: &mut AsyncPgConnection,
    from: Start,
    repair: bool,
    stop: &CancellationToken,
    out: &mut impl Write,
) -> anyhow::Result<Recomputed> {
    ensure!(
        !repair || from == Start::Orders(Uuid::nil()),
        "--repair must know which movements contradict their orders, so it can't begin in the middle"
    );
    if repair {
        ensure!(books::alone(conn).await?, "another recompute --repair is at work on this database");
    }
    let mut look = Look { doubtful: BTreeSet::new(), repair, found: Recomputed::default() };
    let sku = match from {
        Start::Orders(order) => {
            look.orders(conn, order, stop, out).await?;
            String::new()
        }
        Start::Levels(sku) => sku,
    };
    look.levels(conn, sku, stop, out).await?;
    Ok(look.found)
}

struct Look {
    /// The SKUs whose movements contradict orders.
    doubtful: BTreeSet<String>,
    repair: bool,
    found: Recomputed,
}

impl Look {
    async fn orders(
        &mut self,
        conn: &mut AsyncPgConnection,
        mut after: Uuid,
        stop: &CancellationToken,
        out: &mut impl Write,
    ) -> anyhow::Result<()> {
        let mut progress = Progress::new("orders compared with their movements", books::orders_estimate(conn).await?);
        let mut done = 0;
        loop {
            let place = || format!("go on with --from orders:{after}");
            if stop.is_cancelled() {
                bail!("stopped: {}", place());
            }
            let range = books::orders_after(conn, after, ORDERS).await.with_context(place)?;
            let wrong = books::wrong_movements(conn, &range).await.with_context(place)?;
            for WrongMovement { sku, order_id, kind, moved, expected } in wrong {
                writeln!(out, "{sku}: order {order_id} has movements of {moved} {kind}, its lines say {expected}")?;
                self.found.left += 1;
                self.doubtful.insert(sku);
            }
            let Some(last) = range.last else { break };
            after = last;
            done += ORDERS.unsigned_abs();
            progress.at(done, &format!("the last is {last}"));
        }
        progress.end(done);
        Ok(())
    }

    async fn levels(
        &mut self,
        conn: &mut AsyncPgConnection,
        mut after: String,
        stop: &CancellationToken,
        out: &mut impl Write,
    ) -> anyhow::Result<()> {
        let mut progress =
            Progress::new("levels compared with movements and holds", crate::store::products::count(conn).await?);
        loop {
            let place = || format!("go on with --from levels:{after}");
            if stop.is_cancelled() {
                bail!("stopped: {}", place());
            }
            let (range, books) = at_one_moment(conn, &after).await.with_context(place)?;
            for (sku, books) in books {
                self.compare(conn, &sku, books, out).await.with_context(place)?;
            }
            let Some(last) = range.last else { break };
            progress.at(self.found.levels as u64, &format!("the last is {last}"));
            after = last;
        }
        progress.end(self.found.levels as u64);
        Ok(())
    }

    async fn compare(
        &mut self,
        conn: &mut AsyncPgConnection,
        sku: &str,
        books: Books,
        out: &mut impl Write,
    ) -> anyhow::Result<()> {
        let Books { level, moved, held } = books;
        self.found.levels += usize::from(level.is_some());
        let (on_hand, holds) = level.map_or((0, 0), |level| (level.on_hand, level.held));
        if on_hand != moved {
            writeln!(out, "{sku}: the level says {on_hand} on hand, its movements {moved}")?;
        }
        if holds != held {
            writeln!(out, "{sku}: the level says {holds} held, the live holds {held}")?;
        }
        if (on_hand, holds) == (moved, held) {
            return Ok(());
        }
        let provable = self.repair && held >= 0 && moved >= held && !self.doubtful.contains(sku);
        if provable && books::correct(conn, sku, moved - on_hand, held - holds).await? {
            writeln!(out, "{sku}: the level is set to what movements and holds say")?;
        } else {
            self.found.left += 1;
        }
        Ok(())
    }
}

/// The next range of SKUs, with levels, movements and quantities held from one snapshot.
async fn at_one_moment(
    conn: &mut AsyncPgConnection,
    after: &str,
) -> Result<(Range<String>, BTreeMap<String, Books>), DieselError> {
    conn.build_transaction()
        .repeatable_read()
        .read_only()
        .run(async |conn| {
            let range = books::skus_after(conn, after, SKUS).await?;
            let all = books::of(conn, &range).await?;
            Ok((range, all))
        })
        .await
}
