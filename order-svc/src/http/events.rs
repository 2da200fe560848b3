//! An order's events as a stream of server-sent events:
//! <https://html.spec.whatwg.org/multipage/server-sent-events.html>.

use std::convert::Infallible;
use std::fmt::Write as _;

use actix_web::http::header::{CACHE_CONTROL, HeaderName};
use actix_web::web::{Bytes, Data};
use actix_web::{HttpRequest, HttpResponse};
use diesel_async::AsyncPgConnection;
use futures_util::stream;
use service_kit::auth::Caller;
use service_kit::http::{Problem, the_one};
use shared_events::OrderId;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};
use tokio_util::sync::CancellationToken;
use utoipa::ToSchema;

use super::AppState;
use super::history::EntryView;
use super::problem;
use super::theirs::Theirs;
use crate::domain::Status;
use crate::live::{Listener, Live};
use crate::store::history::{self, Entry, RecordedSoFar};

/// One event of the stream, for the OpenAPI document.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only what the document says of it is used")]
pub struct StreamedEvent {
    /// To be sent back as `Last-Event-ID`.
    #[schema(example = "2")]
    id: String,
    /// `status` if it changed the order's status, else `history`.
    #[schema(example = "history")]
    event: String,
    /// A `HistoryEntry` as JSON.
    #[schema(example = json!(super::examples::entry().to_string()))]
    data: String,
}

const LAST_EVENT_ID: &str = "Last-Event-ID";
/// Tells the client how many milliseconds to wait before it reconnects.
const BEGIN: &str = "retry: 2000\n\n";
const KEEP_ALIVE: &str = ": still here\n\n";
/// How many entries of a history are read at once.
const PAGE: i64 = 1_000;

/// Streams the events of an order
///
/// Server-sent events: first what happened after `Last-Event-ID`, then what happens, until the order has ended. Once
/// the order has ended and the client has all of its events, the answer is 204, which tells a browser not to
/// reconnect. A stream ends when the token that it was asked for with does.
#[utoipa::path(
    get, path = "/api/v1/orders/{id}/events", tag = "orders", operation_id = "events_of_order",
    params(
        ("id" = inline(OrderId), Path, description = "The order."),
        ("Last-Event-ID" = Option<i64>, Header, minimum = 0, maximum = 9223372036854775807_i64,
            description = "The id of the last event that was received; a browser sends it when it reconnects.")
    ),
    responses(
        (status = 200, description = "Events `status` and `history`; the data of each is one entry of the history.",
            body = StreamedEvent, content_type = "text/event-stream"),
        (status = 204, description = "The order has ended, and the client has all of its events.")
    )
)]
pub async fn get(
    state: Data<AppState>,
    http: HttpRequest,
    caller: Caller,
    Theirs(order_id): Theirs,
) -> Result<HttpResponse, Problem> {
    let until = caller.good_for().and_then(|good_for| Instant::now().checked_add(good_for));
    let after = last_event_id(&http)?;
    let listener = state.live.listen(order_id).map_err(|full| Problem::unavailable(format!("{full}.")))?;
    let (head, known) = {
        let mut conn = state.pool.get().await?;
        let head = history::head(&mut conn, order_id).await?.ok_or_else(|| problem::no_order(order_id.0))?;
        (head, all_after(&mut conn, order_id, after).await?)
    };
    let RecordedSoFar { recorded, ended } = head;
    if after > recorded {
        return Err(Problem::bad_input(
            LAST_EVENT_ID,
            format!("{after} is not the id of an event of this order; the last is {recorded}"),
        ));
    }
    if ended && known.is_empty() {
        return Ok(HttpResponse::NoContent().finish());
    }
    let mut open = Stream::new(&state.live, listener, after, until);
    let first = BEGIN.to_owned() + &open.fresh(&known);
    open.ended |= ended;
    Ok(HttpResponse::Ok()
        .content_type("text/event-stream")
        .insert_header((CACHE_CONTROL, "no-store"))
        .insert_header((HeaderName::from_static("x-accel-buffering"), "no"))
        .streaming(Box::pin(stream::unfold((Some(first), open), told))))
}

fn last_event_id(http: &HttpRequest) -> Result<i64, Problem> {
    let Some(given) = the_one(http, LAST_EVENT_ID)? else { return Ok(0) };
    let position = given.to_str().ok().and_then(|text| text.parse().ok()).filter(|position| *position >= 0);
    position
        .ok_or_else(|| Problem::bad_input(LAST_EVENT_ID, "expected the id of an event of this order, a whole number"))
}

async fn all_after(conn: &mut AsyncPgConnection, order_id: OrderId, after: i64) -> Result<Vec<Entry>, Problem> {
    let mut known = history::after(conn, order_id, after, PAGE).await?;
    while i64::try_from(known.len()).is_ok_and(|length| length > 0 && length % PAGE == 0) {
        let last = known.last().map_or(after, |entry| entry.position);
        let more = history::after(conn, order_id, last, PAGE).await?;
        if more.is_empty() {
            break;
        }
        known.extend(more);
    }
    Ok(known)
}

struct Stream {
    listener: Listener,
    stop: CancellationToken,
    silence: Interval,
    /// The last position that was sent.
    told: i64,
    ended: bool,
    /// When whoever listens has to come again with another token.
    until: Option<Instant>,
}

type Told = Result<Bytes, Infallible>;

/// The next text of the stream.
async fn told((first, mut open): (Option<String>, Stream)) -> Option<(Told, (Option<String>, Stream))> {
    let text = match first {
        Some(first) => first,
        None => open.next().await?,
    };
    Some((Ok(Bytes::from(text)), (None, open)))
}

impl Stream {
    fn new(live: &Live, listener: Listener, told: i64, until: Option<Instant>) -> Self {
        let mut silence = interval_at(Instant::now() + live.silence(), live.silence());
        silence.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { listener, stop: live.stopped().clone(), silence, told, ended: false, until }
    }

    /// Waits for the next text; none when the stream has ended. Nothing is told once the token has expired; that a stream is
    /// over is noticed at the next event, or when it would be said that it still is.
    async fn next(&mut self) -> Option<String> {
        while !self.ended {
            let text = tokio::select! {
                biased;
                batch = self.listener.next() => self.fresh(&batch?),
                () = self.stop.cancelled() => self.rest(),
                _ = self.silence.tick() => KEEP_ALIVE.to_owned(),
            };
            if self.until.is_some_and(|until| Instant::now() >= until) {
                return None;
            }
            if !text.is_empty() {
                self.silence.reset();
                return Some(text);
            }
        }
        None
    }

    /// Formats those entries that were not sent yet.
    fn fresh(&mut self, entries: &[Entry]) -> String {
        let mut text = String::new();
        for entry in entries.iter().filter(|entry| entry.position > self.told) {
            write_event(&mut text, entry);
        }
        if let Some(last) = entries.last() {
            self.told = self.told.max(last.position);
            // The entries of a change come together, so nothing of it can follow its last entry.
            self.ended |= Status::is_end(&last.status);
        }
        text
    }

    /// The service stops: this sends what is queued. The client reconnects elsewhere and goes on from there.
    fn rest(&mut self) -> String {
        let waiting: Vec<_> = self.listener.rest().collect();
        let text = waiting.iter().map(|batch| self.fresh(batch)).collect();
        self.ended = true;
        text
    }
}

/// The event is `status` if it changed the order's status, else `history`.
fn write_event(text: &mut String, entry: &Entry) {
    let moved = entry.status_before.as_ref() != Some(&entry.status);
    let kind = if moved { "status" } else { "history" };
    // JSON of strings and numbers can always be written, and has no line breaks.
    if let Ok(data) = serde_json::to_string(&EntryView::of(entry)) {
        let _infallible = write!(text, "id: {}\nevent: {kind}\ndata: {data}\n\n", entry.position);
    }
}
