//! Who is signed in, by the cookie that they have, with tokens that are good.

use std::time::Duration;

use chrono::Utc;

use super::AppState;
use crate::sessions::{self, Session};
use crate::sign_in::NotRenewed;

/// Who is signed in by this cookie, with tokens that are good, and whether those are new. A database or an issuer that is away
/// shows whoever it is as not signed in.
pub async fn current(state: &AppState, cookie: &str) -> (Option<Session>, bool) {
    let session = match sessions::find(&state.pool, cookie).await {
        Ok(Some(found)) => found,
        Ok(None) => return (None, false),
        Err(error) => {
            tracing::warn!(error = format!("{error:#}"), "a session can't be read");
            return (None, false);
        }
    };
    if !session.is_due(Utc::now()) {
        return (Some(session), false);
    }
    let still_good = |session: Session| Some(session).filter(|session| session.good_until > Utc::now());
    let session = match renewed(state, cookie, &session).await {
        Ok(Renewed::Here(renewed)) => return (Some(*renewed), true),
        // Whoever renews it is given a moment, if its token is of no use any more.
        Ok(Renewed::Elsewhere) if session.good_until > Utc::now() => Some(session),
        Ok(Renewed::Elsewhere) => renewed_elsewhere(state, cookie).await,
        Ok(Renewed::Ended) => None,
        Ok(Renewed::Never(why)) => {
            tracing::info!(why, "a session ends: its tokens are not renewed");
            if let Err(error) = sessions::end(&state.pool, cookie).await {
                tracing::warn!(error = format!("{error:#}"), "a session can't be ended");
            }
            still_good(session)
        }
        Err(error) => {
            tracing::warn!(error = format!("{error:#}"), "a session's tokens can't be renewed now");
            still_good(session)
        }
    };
    (session, false)
}

/// What came of renewing a session's tokens.
enum Renewed {
    Here(Box<Session>),
    /// Another request renews them.
    Elsewhere,
    /// Somebody signed out meanwhile.
    Ended,
    /// The issuer refuses, and why.
    Never(String),
}

async fn renewed(state: &AppState, cookie: &str, session: &Session) -> anyhow::Result<Renewed> {
    let Some(issuer) = &state.issuer else { return Ok(Renewed::Never("nobody signs in here".to_owned())) };
    if !sessions::may_renew(&state.pool, cookie).await? {
        return Ok(Renewed::Elsewhere);
    }
    let renewed = match issuer.renewed(session).await {
        Ok(renewed) => renewed,
        Err(NotRenewed::Refused(why)) => return Ok(Renewed::Never(why)),
        Err(NotRenewed::Away(error)) => return Err(error),
    };
    // The refresh token that was kept until now is used up, so this is tried again.
    let is_there = match sessions::renew(&state.pool, cookie, &renewed).await {
        Ok(is_there) => is_there,
        Err(_) => sessions::renew(&state.pool, cookie, &renewed).await?,
    };
    if !is_there {
        // The tokens that are new were made for nobody.
        issuer.revoke(&renewed).await;
        return Ok(Renewed::Ended);
    }
    Ok(Renewed::Here(Box::new(renewed)))
}

/// The session with the tokens that another request renews, if that is done within three seconds.
async fn renewed_elsewhere(state: &AppState, cookie: &str) -> Option<Session> {
    for _ in 0..30 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let found = sessions::find(&state.pool, cookie).await.ok()??;
        if !found.is_due(Utc::now()) {
            return Some(found);
        }
    }
    None
}
