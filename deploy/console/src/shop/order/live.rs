//! An order's page as it changes: server-sent events (<https://html.spec.whatwg.org/multipage/server-sent-events.html>)
//! that each hold the part of the page which changes, written anew.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, HeaderName};
use actix_web::web::{Bytes, Data};
use actix_web::{FromRequest, HttpRequest, HttpResponse};
use chrono::Utc;
use futures_util::stream;
use crate::pages::context;
use minijinja::value::Value as Page;
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, sleep_until, timeout_at};
use uuid::Uuid;

use super::look::{self, Looked};
use super::view::Order;
use super::viewer::Viewer;
use crate::http::AppState;
use crate::http::visit::{Refusal, Visit};
use crate::services::Failure;
use crate::sessions::Session;

/// Browsers connect again then.
const LONGEST: Duration = Duration::from_secs(15 * 60);
const PATIENCE: Duration = Duration::from_secs(3);
/// When something was heard, these are the times to look: order-svc may hear the same a moment later.
const AFTER_A_CHANGE: [Duration; 3] = [Duration::ZERO, Duration::from_millis(250), Duration::from_secs(1)];
/// No look comes sooner after another.
const LEAST: Duration = Duration::from_millis(100);
/// Something is sent at least that often, by which it is noticed that nobody reads any more.
const SILENCE: Duration = Duration::from_secs(15);

/// Tells the browser how many milliseconds to wait before it connects again.
const BEGIN: &str = "retry: 2000\n\n";
const STILL_HERE: &str = ": still here\n\n";
const OVER: &str = "event: over\ndata: over\n\n";

/// Streams the part of an order's page that changes.
pub async fn stream(visit: Visit, id: Uuid) -> Result<HttpResponse, Refusal> {
    let state = visit.state.clone();
    let Ok(permit) = state.live.clone().try_acquire_owned() else {
        let why = "So many people look at their orders just now that this one is not shown live.".to_owned();
        return Err(visit.refuse(StatusCode::SERVICE_UNAVAILABLE, "Not just now", why));
    };
    // Listens before it looks, so that no change falls between.
    let heard = state.changes.listen();
    let open = Open::new(&visit, id, heard, permit);
    let answer = HttpResponse::Ok()
        .content_type("text/event-stream")
        .insert_header((CACHE_CONTROL, "no-store"))
        .insert_header((HeaderName::from_static("x-accel-buffering"), "no"))
        .streaming(Box::pin(stream::unfold(open, told)));
    Ok(visit.answer(answer))
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
    sent: String,
    /// Whether the last look saw nothing.
    has_failed: bool,
    is_first: bool,
    is_over: bool,
    _permit: OwnedSemaphorePermit,
}

impl Open {
    fn new(visit: &Visit, id: Uuid, heard: Receiver<Uuid>, permit: OwnedSemaphorePermit) -> Self {
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
            sent: String::new(),
            has_failed: false,
            is_first: true,
            is_over: false,
            _permit: permit,
        }
    }

    /// Waits for the next text; none once the stream is over.
    async fn next(&mut self) -> Option<String> {
        let (stop, ends) = (self.state.stop.clone(), self.ends);
        while !self.is_over {
            tokio::select! {
                biased;
                () = stop.cancelled() => return None,
                () = sleep_until(ends) => return None,
                () = self.until_a_look() => {}
            }
            // Whoever stops the console does not wait for a service that answers slowly.
            let text = tokio::select! {
                biased;
                () = stop.cancelled() => return None,
                text = self.look() => text,
            };
            self.looks.done(Instant::now());
            let now = Instant::now();
            if text.is_none() && !self.is_over && now < self.silent_until {
                continue;
            }
            self.silent_until = now + SILENCE;
            let mut event = if std::mem::take(&mut self.is_first) { BEGIN.to_owned() } else { String::new() };
            event += &text.map_or_else(|| STILL_HERE.to_owned(), |text| written(&text));
            if self.is_over {
                event += OVER;
            }
            return Some(event);
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

    /// Looks, and returns the part of the page if it is another than the one before.
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
        let part = self.part(failure.as_ref());
        (part != self.sent).then(|| {
            self.sent.clone_from(&part);
            part
        })
    }

    /// Whether it is shown as it is, and nothing was heard that could add to it.
    fn is_known(&self, order: &Order) -> bool {
        let is_shown = |(_, last): &(Viewer, Looked)| !last.is_partial && last.order.version == order.version;
        !self.has_failed && !self.looks.is_due_to_a_change && self.last.as_ref().is_some_and(is_shown)
    }

    fn part(&self, failure: Option<&Failure>) -> String {
        let order = self.last.as_ref().map(|(viewer, looked)| looked.shown(viewer));
        let own = context! {
            id => self.id,
            order,
            is_away => matches!(failure, Some(Failure::Away { .. })),
            is_refused => matches!(failure, Some(Failure::Refused { .. })),
        };
        let page = context! { ..own, ..self.context.clone() };
        self.state.pages.render("shop/order_live.html", page).unwrap_or_else(|error| {
            tracing::error!(error = format!("{error:#}"), "an order can't be shown live");
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

/// When to look.
#[derive(Debug)]
struct Looks {
    at: BTreeSet<Instant>,
    last: Option<Instant>,
    /// Whether something was heard since the last look, or not long before it.
    is_due_to_a_change: bool,
}

impl Looks {
    /// At once.
    fn beginning(now: Instant) -> Self {
        Self { at: BTreeSet::from([now]), last: None, is_due_to_a_change: true }
    }

    fn due(&self) -> Instant {
        let first = self.at.first().copied();
        let due = first.unwrap_or_else(|| self.last.map_or_else(Instant::now, |last| last + PATIENCE));
        self.last.map_or(due, |last| due.max(last + LEAST))
    }

    fn heard(&mut self, now: Instant) {
        // A burst of changes needs no look for each: what is due already stays so, and what comes later moves on.
        let soonest = self.at.first().copied().filter(|first| *first < now);
        self.at = AFTER_A_CHANGE.iter().map(|after| now + *after).chain(soonest).collect();
        self.is_due_to_a_change = true;
    }

    fn done(&mut self, now: Instant) {
        self.at.retain(|at| *at > now);
        self.is_due_to_a_change = !self.at.is_empty();
        self.last = Some(now);
    }
}

/// A part of a page as an event. It has a line for each of its lines, however they end.
fn written(part: &str) -> String {
    let lines = part.split(['\n', '\r']).filter(|line| !line.trim().is_empty());
    let data: String = lines.map(|line| format!("data: {line}\n")).collect();
    format!("event: order\n{data}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_a_page_can_t_end_its_event() {
        let part = "<p>\nAnn\r\n\r\nevent: over\rdata: x</p>";
        assert_eq!(written(part), "event: order\ndata: <p>\ndata: Ann\ndata: event: over\ndata: data: x</p>\n\n");
    }

    #[tokio::test]
    async fn what_is_heard_is_looked_at_three_times_and_then_every_three_seconds() {
        let now = Instant::now();
        let mut looks = Looks::beginning(now);
        assert_eq!(looks.due(), now);
        looks.done(now + Duration::from_millis(1));
        assert!(!looks.is_due_to_a_change);
        assert_eq!(looks.due(), now + Duration::from_millis(1) + PATIENCE);
        let heard = now + Duration::from_secs(1);
        looks.heard(heard);
        for after in AFTER_A_CHANGE {
            assert_eq!(looks.due(), heard + after);
            looks.done(heard + after + Duration::from_nanos(1));
        }
        assert!(looks.due() > heard + PATIENCE);
    }

    #[tokio::test]
    async fn a_burst_of_changes_is_not_a_burst_of_looks() {
        let now = Instant::now();
        let mut looks = Looks::beginning(now);
        looks.done(now);
        for millis in 0..1_000 {
            looks.heard(now + Duration::from_millis(millis));
        }
        assert!(looks.at.len() <= AFTER_A_CHANGE.len() + 1);
        assert_eq!(looks.due(), now + LEAST, "a burst does not keep it from being looked at");
    }
}
