//! What the server itself refuses, as pages: people read it.

use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, ResponseError};
use service_kit::http::ProblemPage;

use super::AppState;
use super::visit::{Refusal, Visit, came_from};
use crate::pages::context;

/// What programs ask for.
const FOR_PROGRAMS: [&str; 3] = ["/healthz", "/readyz", "/metrics"];

/// There is no such page.
pub async fn nothing_here(visit: Visit) -> Result<HttpResponse, Refusal> {
    let why = "There is no such page, or not any more.".to_owned();
    Err(visit.refuse(StatusCode::NOT_FOUND, "There is nothing here", why))
}

/// Shows a problem that comes about before or beside the pages. It isn't known then who asks, so the page doesn't say.
pub fn page(state: &AppState) -> ProblemPage {
    let (pages, sandbox) = (Arc::clone(&state.pages), state.is_sandbox);
    ProblemPage::new(move |request, problem| {
        if FOR_PROGRAMS.contains(&request.path()) {
            return None;
        }
        let status = problem.status_code();
        let (title, why) = words(status);
        let (back, path) = (came_from(request), request.path());
        Some(pages.answer(status, "failed.html", context! { title, why, back, path, sandbox }))
    })
}

fn words(status: StatusCode) -> (&'static str, &'static str) {
    match status.as_u16() {
        404 => ("There is nothing here", "There is no such page, or not any more."),
        405 => {
            ("There is no page here", "This address takes what a form sends. Please go back to the page with the form.")
        }
        403 => (
            "That did not come from here",
            "Your browser says that another site has sent this. Please load the page again, and repeat.",
        ),
        408 | 413 => ("That can't be taken", "This was too much, or came too slowly. Please go back, and send less."),
        421 => ("This is not the address", "This site has another name. Please follow a link from where you know it."),
        429 | 503 => ("Not just now", "This takes longer than it should. Please try again in a moment."),
        500..=599 => ("Something went wrong here", "We have noted it. Please try again in a moment."),
        _ => (
            "That can't be read",
            "Your browser sent something that we don't understand. Please go back, and load the page again.",
        ),
    }
}
