//! Pages of the catalogue, kept for a moment: they are asked for most, cost most, and are the same for everybody.
//!
//! What this instance commits its pages show at once, because a page is kept under the number of commits that it was looked up
//! after. What another instance commits they show once they are [`KEPT`] old: an instance hears nothing of what the others do.

use std::time::Duration;

use actix_web::web::Bytes;
use moka::future::Cache;
use moka::policy::EvictionPolicy;
use outbox_relay::Nudge;
use service_kit::Pool;
use service_kit::http::{Paged, Problem};

use super::views::ProductView;
use crate::store::products::{self, ProductFilter};

/// How long a page is kept.
pub const KEPT: Duration = Duration::from_secs(1);
/// The memory that pages may take, in bytes; those that are asked for least go first.
const ROOM: u64 = 4 * 1024 * 1024;

#[derive(Clone, PartialEq, Eq, Hash)]
struct Page {
    wanted: ProductFilter,
    limit: i64,
    /// What was committed before it was asked for.
    commits: u64,
}

/// The catalogue's pages.
#[derive(Clone)]
pub struct Catalogue {
    pool: Pool,
    nudge: Nudge,
    pages: Cache<Page, Bytes>,
}

impl Catalogue {
    /// `nudge` is told of each commit of this instance.
    pub fn new(pool: Pool, nudge: Nudge, kept: Duration) -> Self {
        let weight = |_: &Page, body: &Bytes| u32::try_from(body.len()).unwrap_or(u32::MAX);
        // The oldest pages go first: each commit makes new ones, which nobody has asked for yet.
        let (builder, oldest_first) = (Cache::builder().max_capacity(ROOM).weigher(weight), EvictionPolicy::lru());
        let pages = builder.eviction_policy(oldest_first).time_to_live(kept).build();
        Self { pool, nudge, pages }
    }

    /// A page as JSON. Requests that come while it is looked up wait for that. A failure isn't kept.
    pub(super) async fn page(&self, wanted: ProductFilter, limit: i64) -> Result<Bytes, Problem> {
        let page = Page { wanted, limit, commits: self.nudge.count() };
        let found = self.pages.try_get_with_by_ref(&page, self.look_up(&page)).await;
        found.map_err(|problem| Problem::clone(&problem))
    }

    async fn look_up(&self, page: &Page) -> Result<Bytes, Problem> {
        let mut conn = self.pool.get().await?;
        let rows = products::list(&mut conn, page.wanted.clone(), page.limit + 1).await?;
        let page = Paged::from_rows(rows, page.limit, |listed| listed.product.sku.to_string()).map(ProductView::from);
        serde_json::to_vec(&page).map(Bytes::from).map_err(Problem::internal)
    }
}
