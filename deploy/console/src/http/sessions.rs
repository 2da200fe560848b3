//! Signing in and out.

use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::LOCATION;
use actix_web::web::{self, Bytes, ServiceConfig};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::form::Form;
use super::visit::{Refusal, SESSION, Visit, shown};
use crate::pages::context;
use crate::sign_in::NotSignedIn;
use crate::{secrets, sessions};

/// The cookie of whoever is signing in: a secret, and where they want to go.
const SIGN_IN: &str = "console_sign_in";
/// The longest address that a cookie keeps, in bytes; who comes from a longer one is led to the shop.
const LONGEST: usize = 1_000;
const PATIENCE: Duration = Duration::from_secs(15 * 60);

pub fn routes(config: &mut ServiceConfig) {
    config
        .service(web::resource("/sign-in").get(|visit| shown(sign_in(visit))))
        .service(web::resource("/callback").get(|visit| shown(callback(visit))))
        .service(web::resource("/sign-out").post(|visit, body| shown(sign_out(visit, body))));
}

async fn sign_in(mut visit: Visit) -> Result<HttpResponse, Refusal> {
    let Some(issuer) = visit.state.issuer.clone() else { return Ok(visit.go("/")) };
    let wanted = Form::query(&visit.request);
    let to = wanted.get("to").filter(|to| is_here(to) && to.len() <= LONGEST).unwrap_or("/").to_owned();
    let secret = secrets::random();
    let address = match issuer.address(&secret, &visit.state.redirect_uri()).await {
        Ok(address) => address,
        Err(error) => return Err(no_issuer(visit, &error)),
    };
    visit.keep(SIGN_IN, &format!("{secret}.{}", URL_SAFE_NO_PAD.encode(&to)), "/callback", PATIENCE);
    let answer = HttpResponse::SeeOther().insert_header((LOCATION, address.as_str())).finish();
    Ok(visit.answer(answer))
}

async fn callback(mut visit: Visit) -> Result<HttpResponse, Refusal> {
    let Some(issuer) = visit.state.issuer.clone() else { return Ok(visit.go("/")) };
    let kept = visit.cookie(SIGN_IN).unwrap_or_default();
    let Some((secret, to)) = kept.split_once('.').filter(|(secret, _)| secrets::is_like_random(secret)) else {
        let why = "Signing in took too long, or began in another browser. Please try again.";
        return Err(visit.refuse(StatusCode::BAD_REQUEST, "That did not work", why.to_owned()));
    };
    let to = URL_SAFE_NO_PAD.decode(to).ok().and_then(|to| String::from_utf8(to).ok());
    let to = to.filter(|to| is_here(to)).unwrap_or_else(|| "/".to_owned());
    let answer = Form::query(&visit.request);
    let state = answer.text("state");
    if !secrets::are_same(state, &secrets::derived(secret, "state")) {
        let why = "Somebody began to sign in elsewhere meanwhile. Please try again.";
        return Err(visit.refuse(StatusCode::BAD_REQUEST, "That did not work", why.to_owned()));
    }
    let session = issuer.session(secret, &visit.state.redirect_uri(), |name| answer.get(name).map(str::to_owned)).await;
    let session = match session {
        Ok(session) => session,
        Err(error) if matches!(error.downcast_ref(), Some(NotSignedIn::Denied)) => {
            visit.drop_cookie(SIGN_IN, "/callback");
            let why =
                "You gave up signing in, or your account may not be used here. You can try again, or go on without.";
            return Err(visit.refuse(StatusCode::FORBIDDEN, "You are not signed in", why.to_owned()));
        }
        Err(error) => return Err(no_issuer(visit, &error)),
    };
    let cookie = match sessions::begin(&visit.state.pool, &session).await {
        Ok(cookie) => cookie,
        Err(error) => return Err(no_issuer(visit, &error)),
    };
    if let Some(before) = visit.cookie(SESSION)
        && let Err(error) = sessions::end(&visit.state.pool, &before).await
    {
        tracing::warn!(error = format!("{error:#}"), "the session of before can't be ended");
    }
    visit.drop_cookie(SIGN_IN, "/callback");
    visit.keep(SESSION, &cookie, "/", sessions::LIFE);
    Ok(visit.go(&to))
}

/// Ends the session here, and its tokens at the issuer. Where people stay signed in at the issuer itself, its page for that comes
/// next: by a page of ours, since browsers hold a form that leads on to another site against the page's policy.
async fn sign_out(visit: Visit, body: Bytes) -> Result<HttpResponse, Refusal> {
    let (mut visit, _) = visit.form(&body)?;
    if let Some(cookie) = visit.cookie(SESSION)
        && let Err(error) = sessions::end(&visit.state.pool, &cookie).await
    {
        return Err(no_issuer(visit, &error));
    }
    visit.drop_cookie(SESSION, "/");
    let (Some(session), Some(issuer)) = (visit.session.take(), visit.state.issuer.clone()) else {
        return Ok(visit.go("/"));
    };
    let back = visit.state.home();
    let ((), at) = tokio::join!(issuer.revoke(&session), issuer.sign_out_address(&session, &back));
    match at {
        Some(at) => Ok(visit.page("signed_out.html", context! { at => at.as_str() })),
        None => Ok(visit.go("/")),
    }
}

fn no_issuer(visit: Visit, error: &anyhow::Error) -> Refusal {
    tracing::warn!(error = format!("{error:#}"), "somebody could not sign in or out");
    let why = "Nobody can sign in or out just now. Please try again in a moment.";
    visit.refuse(StatusCode::SERVICE_UNAVAILABLE, "Not just now", why.to_owned())
}

/// Whether an address is a path here, and nowhere else: a browser takes `//host` and `/\host` for other sites.
fn is_here(to: &str) -> bool {
    to.starts_with('/') && !to.starts_with("//") && !to.contains('\\') && to.chars().all(|char| !char.is_control())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_signed_in_is_led_to_a_page_here_alone() {
        for good in ["/", "/orders/1?x=//y", "/control"] {
            assert!(is_here(good), "{good}");
        }
        for bad in ["", "//evil.example", "/\\evil.example", "https://evil.example", "orders", "/a\nb"] {
            assert!(!is_here(bad), "{bad}");
        }
    }
}
