//! An order's page as it changes: server-sent events (<https://html.spec.whatwg.org/multipage/server-sent-events.html>)
//! that each hold a part of the page, written anew.

use std::convert::Infallible;
use std::time::Duration;

use actix_web::http::header::{CACHE_CONTROL, HeaderName};
use actix_web::web::{Bytes, Data};
use actix_web::{FromRequest, HttpRequest, HttpResponse, HttpResponseBuilder};
use chrono::Utc;
use futures_util::stream;
use minijinja::value::Value as Page;
use tokio::sync::Semaphore;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, sleep_until, timeout_at};
use uuid::Uuid;

use super::look::{self, Looked};
use super::looks::Looks;
use super::places::Place;
use super::view::Order;
use super::viewer::Viewer;
use crate::http::AppState;
use crate::http::form::Form;
use crate::http::visit::{Refusal, Visit};
use crate::pages::context;
use crate::secrets;
use crate::services::Failure;
use crate::sessions::Session;

/// Browsers connect again then.
const LONGEST: Duration = Duration::from_secs(15 * 60);
/// Something is sent at least that often, by which it is noticed that nobody reads any more.
const SILENCE: Duration = Duration::from_secs(15);

/// Tells the browser how many milliseconds to wait before it connects again.
const BEGIN: &str = "retry: 2000\n\n";
/// The same, where there was no place.
const AGAIN: &str = "retry: 15000\n\n";
/// How many pages without a place are told at a time how their orders are.
static TURNS: Semaphore = Semaphore::const_new(16);
/// The parts of the page, by the names of their events. Each is sent only when it has changed, so that a part where somebody
/// reads or has the focus stays as it is.
const PARTS: [&str; 6] = ["trouble", "headline", "bank", "steps", "next", "what"];
const STILL_HERE: &str = ": still here\n\n";
const OVER: &str = "event: over\ndata: over\n\n";

/// Streams the parts of an order's page that change, to whoever may see the order. Where there is no place for that, the page is
/// told how the order is now, and asks again.
pub async fn stream(visit: Visit, id: Uuid) -> Result<HttpResponse, Refusal> {
    let state = visit.state.clone();
    // Before anybody is asked: whoever comes again and again for a place costs nobody anything.
    let client = visit.client();
    let Some(place) = Place::take(&state.live, id, client) else { return once(visit, id).await };
    // Listens before it looks, so that no change falls between.
    let heard = state.changes.listen();
    if let Err(failure @ Failure::Refused { .. }) = look::find(&state, id, Viewer::all(&visit)).await {
        return Err(super::not_shown(visit, &failure));
    }
    let open = Open::new(&visit, id, heard, Some(place));
    let answer = events().streaming(Box::pin(stream::unfold(open, told)));
    Ok(visit.answer(answer))
}

/// What has changed until now, in an answer that ends; and a few such answers at a time, so that the services are not asked
/// without an end.
async fn once(visit: Visit, id: Uuid) -> Result<HttpResponse, Refusal> {
    let Ok(_turn) = TURNS.try_acquire() else {
        let answer = events().body(AGAIN);
        return Ok(visit.answer(answer));
    };
    let mut open = Open::new(&visit, id, visit.state.changes.listen(), None);
    let news = open.look().await.unwrap_or_default();
    let end = if open.is_over { OVER } else { "" };
    let answer = events().body(format!("{AGAIN}{news}{end}"));
    Ok(visit.answer(answer))
}

fn events() -> HttpResponseBuilder {
    let mut answer = HttpResponse::Ok();
    answer
        .content_type("text/event-stream")
        .insert_header((CACHE_CONTROL, "no-store"))
        .insert_header((HeaderName::from_static("x-accel-buffering"), "no"));
    answer
}

async fn told(mut open: Open) -> Option<(Result<Bytes, Infallible>, Open)> {
    let text = open.next().await?;
    Some((Ok(Bytes::from(text)), open))
}

/// A stream that somebody reads.
struct Open {
    state: Data<AppState>,
    request: HttpRequest,
    id: Uuid,
    ways: Vec<Viewer>,
    session: Option<Session>,
    /// What every page shows of whoever reads.
    context: Page,
    heard: Receiver<Uuid>,
    looks: Looks,
    ends: Instant,
    silent_until: Instant,
    last: Option<(Viewer, Looked)>,
    /// What the page has, by [`PARTS`]: a hash of each, none if it isn't known.
    sent: Vec<String>,
    /// What can be done with the order, as the page has it.
    may: String,
    /// Whether the last look saw nothing.
    has_failed: bool,
    is_first: bool,
    is_over: bool,
    _place: Option<Place>,
}

impl Open {
    fn new(visit: &Visit, id: Uuid, heard: Receiver<Uuid>, place: Option<Place>) -> Self {
        let now = Instant::now();
        Self {
            state: visit.state.clone(),
            request: visit.request.clone(),
            id,
            ways: Viewer::all(visit),
            session: visit.session.clone(),
            context: visit.context(),
            heard,
            looks: Looks::beginning(now),
            ends: now + LONGEST,
            silent_until: now + SILENCE,
            last: None,
            sent: sent_before(&visit.request),
            may: Form::query(&visit.request).text("may").to_owned(),
            has_failed: false,
            is_first: true,
            is_over: false,
            _place: place,
        }
    }

    /// Waits for the next text; none once the stream is over.
    async fn next(&mut self) -> Option<String> {
        let (stop, ends) = (self.state.stop.clone(), self.ends);
        while !self.is_over {
            let silent_until = self.silent_until;
            let is_silent = tokio::select! {
                biased;
                () = stop.cancelled() => return None,
                () = sleep_until(ends) => return None,
                () = sleep_until(silent_until) => true,
                () = self.until_a_look() => false,
            };
            if is_silent {
                self.silent_until = Instant::now() + SILENCE;
                return Some(STILL_HERE.to_owned());
            }
            // Whoever stops the console does not wait for a service that answers slowly.
            let news = tokio::select! {
                biased;
                () = stop.cancelled() => return None,
                news = self.look() => news,
            };
            let now = Instant::now();
            self.looks.done(now);
            if news.is_some() || self.has_failed {
                self.looks.saw_news();
            }
            if news.is_none() && !self.is_over {
                continue;
            }
            self.silent_until = now + SILENCE;
            let begin = if std::mem::take(&mut self.is_first) { BEGIN } else { "" };
            let end = if self.is_over { OVER } else { "" };
            return Some(format!("{begin}{}{end}", news.unwrap_or_default()));
        }
        None
    }

    /// Until something was heard of this order, or it is time to look anyway.
    async fn until_a_look(&mut self) {
        loop {
            let due = self.looks.due();
            match timeout_at(due, self.heard.recv()).await {
                Ok(Ok(order)) if order != self.id => {}
                // It missed some changes, which may have been of this order.
                Ok(Ok(_) | Err(RecvError::Lagged(_))) => self.looks.heard(Instant::now()),
                // Nothing more is heard, or it is time.
                Ok(Err(RecvError::Closed)) => return sleep_until(due).await,
                Err(_) => return,
            }
        }
    }

    /// Looks, and returns the events that tell what is another than before.
    async fn look(&mut self) -> Option<String> {
        self.renew().await;
        let failure = match look::find(&self.state, self.id, self.ways.clone()).await {
            Ok((_, order)) if self.is_known(&order) => return None,
            Ok((viewer, order)) => {
                let looked = Looked::at(&self.state, order, &viewer).await;
                self.is_over = looked.order.status.is_end();
                self.last = Some((viewer, looked));
                None
            }
            Err(failure) => Some(failure),
        };
        self.has_failed = failure.is_some();
        // Without being signed in again there is nothing more to see.
        self.is_over |= matches!(failure, Some(Failure::Refused { .. }));
        let news = self.news(failure.as_ref());
        (!news.is_empty()).then_some(news)
    }

    /// Whether it is shown as it is, and nothing was heard that could add to it.
    fn is_known(&self, order: &Order) -> bool {
        let is_shown = |(_, last): &(Viewer, Looked)| !last.is_partial && last.order.version == order.version;
        !self.has_failed && !self.looks.is_due_to_a_change && self.last.as_ref().is_some_and(is_shown)
    }

    /// The parts of the page that have changed. What can be done is sent only if something else can be done: whoever has
    /// opened a question there can answer it in peace.
    fn news(&mut self, failure: Option<&Failure>) -> String {
        let order = self.last.as_ref().map(|(viewer, looked)| looked.shown(viewer));
        let own = context! {
            id => self.id,
            order,
            is_away => matches!(failure, Some(Failure::Away { .. })),
            is_refused => matches!(failure, Some(Failure::Refused { .. })),
        };
        let page = context! { ..own, ..self.context.clone() };
        let mut news = String::new();
        for (at, name) in PARTS.into_iter().enumerate() {
            let part = self.part("shop/order_live.html", context! { ..context! { part => name }, ..page.clone() });
            let hash = hash(&part);
            if self.sent[at] != hash {
                self.sent[at] = hash;
                news += &written(name, Some(&self.sent.join(".")), &part);
            }
        }
        let may = self.last.as_ref().map(|(viewer, looked)| looked.may(viewer).join("."));
        if let Some(may) = may.filter(|may| *may != self.may) {
            news += &written("actions", None, &self.part("shop/order_actions.html", page));
            self.may = may;
        }
        news
    }

    fn part(&self, name: &str, page: Page) -> String {
        self.state.pages.render(name, page).unwrap_or_else(|error| {
            tracing::error!(error = format!("{error:#}"), part = name, "an order can't be shown live");
            String::new()
        })
    }

    /// Renews the tokens of whoever reads, as a visit of theirs does.
    async fn renew(&mut self) {
        let is_due = self.session.as_ref().is_some_and(|session| session.is_due(Utc::now()));
        if is_due && let Ok(visit) = Visit::extract(&self.request).await {
            self.ways = Viewer::all(&visit);
            self.session = visit.session;
        }
    }
}

/// A part of a page as an event. It has a line for each of its lines, however they end, and one that is empty if it has none: an
/// event without any is told to nobody. `id` is what the browser says when it comes again.
fn written(event: &str, id: Option<&str>, part: &str) -> String {
    let lines = part.split(['\n', '\r']).filter(|line| !line.trim().is_empty());
    let data: String = lines.map(|line| format!("data: {line}\n")).collect();
    let data = if data.is_empty() { "data: \n".to_owned() } else { data };
    let id = id.map(|id| format!("id: {id}\n")).unwrap_or_default();
    format!("event: {event}\n{id}{data}\n")
}

/// Of a part that shows nothing it is empty, as of one that was never sent: there is nothing to send then.
fn hash(part: &str) -> String {
    match part.trim() {
        "" => String::new(),
        part => secrets::s256(part)[..10].to_owned(),
    }
}

/// What a browser that comes again was sent before.
fn sent_before(request: &HttpRequest) -> Vec<String> {
    let last = request.headers().get("last-event-id").and_then(|id| id.to_str().ok()).unwrap_or_default();
    let sent: Vec<_> = last.split('.').map(str::to_owned).collect();
    if sent.len() == PARTS.len() { sent } else { vec![String::new(); PARTS.len()] }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_a_page_can_t_end_its_event() {
        let part = "<p>\nAnn\r\n\r\nevent: over\rdata: x</p>";
        let event = "event: what\nid: 7\ndata: <p>\ndata: Ann\ndata: event: over\ndata: data: x</p>\n\n";
        assert_eq!(written("what", Some("7"), part), event);
        assert_eq!(written("bank", None, "\n"), "event: bank\ndata: \n\n");
    }
}
