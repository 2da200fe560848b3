//! The token that the tools bring along where the shop asks for one.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Mutex;
use url::Url;

use crate::login::{self, Person};

/// A token is good for ten minutes. It is renewed long before, so that an issuer that is away for a while is no matter.
const RENEWED_AFTER: Duration = Duration::from_secs(300);
const GOOD_FOR: Duration = Duration::from_secs(590);

/// Somebody of the staff, signed in at the sandbox issuer of a run. Clones share their token.
#[derive(Clone)]
pub(super) struct Session {
    issuer: Url,
    token: Arc<Mutex<Option<(Instant, String)>>>,
}

impl Session {
    pub fn at(issuer: Url) -> Self {
        Self { issuer, token: Arc::default() }
    }

    /// A token that is good for some minutes yet. Fails if there is none and the issuer gives none.
    pub async fn token(&self) -> anyhow::Result<String> {
        let mut held = self.token.lock().await;
        let younger_than =
            |age: Duration| held.as_ref().filter(|(since, _)| since.elapsed() < age).map(|(_, token)| token.clone());
        if let Some(fresh) = younger_than(RENEWED_AFTER) {
            return Ok(fresh);
        }
        match login::token(&self.issuer, Person::Sam).await {
            Ok(token) => Ok(held.insert((Instant::now(), token)).1.clone()),
            Err(error) => younger_than(GOOD_FOR).ok_or(error),
        }
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("issuer", &self.issuer.as_str()).finish_non_exhaustive()
    }
}
