//! Fetches that wait for records.
//!
//! tansu 0.6 looks at its store, and then lets the whole of a fetch's wait pass, whatever it has found. So a fetch is kept
//! here until one of its partitions has something for it, or its time is over, and is served without a wait. What one
//! produces is on its way to those who wait at once, and who waits costs nothing.

use std::time::Duration;

use rama_core::{Context, Service};
use tansu_broker::Error;
use tansu_sans_io::{Body, ErrorCode, FetchRequest, FetchResponse, Frame};
use tansu_service::FrameRouteService;
use tokio::time::{Instant, timeout_at};

use super::exact::Exact;

/// Serves every request, fetches once there is something to fetch.
///
/// One byte is enough: what else a client may ask for (`fetch.min.bytes`) is not waited for.
pub(super) struct LongPoll {
    pub store: Exact,
    pub routes: FrameRouteService<(), Error>,
}

impl Service<(), Frame> for LongPoll {
    type Response = Frame;
    type Error = Error;

    async fn serve(&self, context: Context<()>, mut request: Frame) -> Result<Frame, Error> {
        let Body::FetchRequest(fetch) = &mut request.body else { return self.routes.serve(context, request).await };
        let patience = Duration::from_millis(u64::try_from(fetch.max_wait_ms).unwrap_or_default());
        fetch.max_wait_ms = 0;
        let fetch = fetch.clone();
        self.fetch(context, &request, &fetch, Instant::now() + patience).await
    }
}

impl LongPoll {
    async fn fetch(
        &self,
        context: Context<()>,
        request: &Frame,
        fetch: &FetchRequest,
        deadline: Instant,
    ) -> Result<Frame, Error> {
        let asked = self.store.places(fetch).await?;
        loop {
            // before the look, so that nothing is missed that comes during it
            let produced = self.store.produced();
            let over = Instant::now() >= deadline;
            if over || asked.as_ref().is_none_or(|asked| self.store.has_any(asked)) {
                let answer = self.routes.serve(context.clone(), request.clone()).await?;
                // what the store's own rules leave out is nothing to answer with: what was deleted, or isn't committed
                if over || !matches!(&answer.body, Body::FetchResponse(answer) if is_empty(answer)) {
                    return Ok(answer);
                }
            }
            let _ = timeout_at(deadline, produced).await; // when the time is over it is answered what there is
        }
    }
}

/// Neither a record nor an error.
fn is_empty(answer: &FetchResponse) -> bool {
    let fine = i16::from(ErrorCode::None);
    let partitions = answer.responses.iter().flatten().flat_map(|topic| topic.partitions.iter().flatten());
    let mut empty = partitions.map(|partition| partition.error_code == fine && partition.records.is_none());
    answer.error_code.is_none_or(|code| code == fine) && empty.all(|empty| empty)
}
