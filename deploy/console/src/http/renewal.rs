//! Who is signed in, with tokens that are good: they are renewed shortly before they end, once, however many pages ask.

use std::time::Duration;

use chrono::Utc;

use super::AppState;
use crate::sessions::{self, Session};
use crate::sign_in::NotRenewed;

/// Who is signed in by this cookie, with tokens that are good. A database or an issuer that is away shows whoever it is as
/// not signed in.
pub async fn current(state: &AppState, cookie: &str) -> Option<Session> {
    let session = match sessions::find(&state.pool, cookie).await {
        Ok(found) => found?,
        Err(error) => {
            tracing::warn!(error = format!("{error:#}"), "a session can't be read");
            return None;
        }
    };
    if !session.is_due(Utc::now()) {
        return Some(session);
    }
    let still_good = |session: Session| Some(session).filter(|session| session.good_until > Utc::now());
    match renewed(state, cookie, &session).await {
        Ok(Renewed::Here(renewed)) => Some(*renewed),
        // Whoever renews it is given a moment, if its token is of no use any more.
        Ok(Renewed::Elsewhere) if session.good_until > Utc::now() => Some(session),
        Ok(Renewed::Elsewhere) => renewed_elsewhere(state, cookie).await,
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
    }
}

/// What came of renewing a session's tokens.
enum Renewed {
    Here(Box<Session>),
    /// Another request renews them.
    Elsewhere,
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
    if sessions::write(&state.pool, cookie, &renewed).await.is_err() {
        sessions::write(&state.pool, cookie, &renewed).await?;
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
