//! Signing in at the issuer: OpenID Connect's authorization code with PKCE (RFC 7636), for a public client.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow, ensure};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::Utc;
use reqwest::{Client, StatusCode, redirect};
use serde::Deserialize;
use serde_json::Value;
use service_kit::auth::{AuthConfig, Keys, Verifier};
use service_kit::http_client;
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::secrets;
use crate::sessions::Session;

const PATIENCE: Duration = Duration::from_secs(5);
const SCOPE: &str = "openid profile email offline_access";

/// The issuer, where people sign in.
#[derive(Clone)]
pub struct Issuer {
    client: Client,
    issuer: String,
    client_id: String,
    /// Where the console reaches it.
    internal: Url,
    keys: Arc<Keys>,
    verifier: Arc<Verifier>,
}

/// What the token endpoint answers (RFC 6749, 5.1).
#[derive(Deserialize)]
struct Tokens {
    access_token: String,
    refresh_token: Option<String>,
    id_token: Option<String>,
}

/// Why there are no new tokens.
#[derive(Debug, thiserror::Error)]
pub enum NotRenewed {
    /// The issuer says no, and why.
    #[error("{0}")]
    Refused(String),
    /// It can't be asked now.
    #[error("{0:#}")]
    Away(anyhow::Error),
}

/// Why the issuer has signed nobody in (RFC 6749, 4.1.2.1).
#[derive(Debug, thiserror::Error)]
pub enum NotSignedIn {
    /// Whoever it is has given up, or may not.
    #[error("the issuer says that access is denied")]
    Denied,
    #[error("the issuer refuses: {0}")]
    Otherwise(String),
}

impl NotSignedIn {
    fn of(error: &str) -> Self {
        match error {
            "access_denied" | "login_required" | "interaction_required" | "consent_required" => Self::Denied,
            other => Self::Otherwise(other.chars().take(100).collect()),
        }
    }
}

#[derive(Deserialize)]
struct Discovered {
    authorization_endpoint: Url,
    token_endpoint: Url,
    /// RFC 7009
    revocation_endpoint: Option<Url>,
    /// OpenID Connect RP-Initiated Logout 1.0
    end_session_endpoint: Option<Url>,
}

impl Issuer {
    /// None where nobody signs in. Fails if the issuer's address is none.
    pub fn new(config: &AuthConfig, client_id: String, internal: Option<Url>) -> anyhow::Result<Option<Self>> {
        let AuthConfig::By { issuer, audience, keys, roles_claim } = config else { return Ok(None) };
        let internal = match internal {
            Some(internal) => internal,
            None => Url::parse(issuer)?,
        };
        let keys = Arc::new(Keys::new(keys.clone())?);
        let verifier = Verifier::new(Arc::clone(&keys), issuer.clone(), audience.clone(), roles_claim.clone());
        let client = http_client::builder(&internal).redirect(redirect::Policy::none()).timeout(PATIENCE).build()?;
        let issuer = issuer.clone();
        Ok(Some(Self { client, issuer, client_id, internal, keys, verifier: Arc::new(verifier) }))
    }

    /// Keeps the issuer's keys up to date until told to stop.
    pub async fn run(self, stop: CancellationToken) {
        self.keys.run(stop).await;
    }

    /// Where to send a browser whose sign-in has this secret. The secret's purposes are derived, so none tells another.
    pub async fn address(&self, secret: &str, redirect_uri: &str) -> anyhow::Result<Url> {
        let mut to = self.discovered().await?.authorization_endpoint;
        to.query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", &self.client_id)
            .append_pair("redirect_uri", redirect_uri)
            .append_pair("scope", SCOPE)
            .append_pair("state", &secrets::derived(secret, "state"))
            .append_pair("code_challenge", &secrets::s256(&secrets::derived(secret, "verifier")))
            .append_pair("code_challenge_method", "S256");
        Ok(to)
    }

    /// The session of whoever comes back with a code. `answer` has the parameters that the issuer sent along.
    pub async fn session(
        &self,
        secret: &str,
        redirect_uri: &str,
        answer: impl Fn(&str) -> Option<String>,
    ) -> anyhow::Result<Session> {
        let state = answer("state").unwrap_or_default();
        ensure!(secrets::are_same(&state, &secrets::derived(secret, "state")), "the answer is to another question");
        // RFC 9207
        ensure!(answer("iss").is_none_or(|issuer| issuer == self.issuer), "another issuer answers");
        if let Some(error) = answer("error") {
            return Err(NotSignedIn::of(&error).into());
        }
        let code = answer("code").context("the answer has no code")?;
        let verifier = secrets::derived(secret, "verifier");
        let form = [
            ("grant_type", "authorization_code"),
            ("code", &code),
            ("redirect_uri", redirect_uri),
            ("client_id", &self.client_id),
            ("code_verifier", &verifier),
        ];
        let tokens = self.tokens(&form).await?;
        let who = tokens.id_token.as_deref().map(claims).transpose()?.unwrap_or_default();
        let name = who["name"].as_str().map(str::to_owned);
        let email = who["email"].as_str().map(str::to_owned);
        self.checked(tokens, name, email).await
    }

    /// The session with new tokens.
    pub async fn renewed(&self, session: &Session) -> Result<Session, NotRenewed> {
        let Some(token) = session.refresh_token.as_deref() else {
            return Err(NotRenewed::Refused("there is no refresh token".to_owned()));
        };
        let form = [("grant_type", "refresh_token"), ("refresh_token", token), ("client_id", &self.client_id)];
        let tokens = self.tokens(&form).await?;
        let renewed =
            self.checked(tokens, session.name.clone(), session.email.clone()).await.map_err(NotRenewed::Away)?;
        if renewed.sub != session.sub {
            return Err(NotRenewed::Refused("the issuer answers with somebody else's token".to_owned()));
        }
        let refresh_token = renewed.refresh_token.clone().or_else(|| session.refresh_token.clone());
        let id_token = renewed.id_token.clone().or_else(|| session.id_token.clone());
        Ok(Session { refresh_token, id_token, ..renewed })
    }

    /// Has the issuer end what its refresh token renews, where the issuer says how (RFC 7009). Whoever signs out is signed out here
    /// whether or not that works.
    pub async fn revoke(&self, session: &Session) {
        if let Err(error) = self.try_revoke(session).await {
            tracing::warn!(
                error = format!("{error:#}"),
                "a refresh token can't be revoked: it is good until it expires"
            );
        }
    }

    async fn try_revoke(&self, session: &Session) -> anyhow::Result<()> {
        let Some(token) = session.refresh_token.as_deref() else { return Ok(()) };
        let Some(at) = self.discovered().await?.revocation_endpoint else { return Ok(()) };
        let form = [("token", token), ("token_type_hint", "refresh_token"), ("client_id", &self.client_id)];
        let answer = self.client.post(self.reached(at)).form(&form).send().await;
        let answer = answer.map_err(|error| anyhow!(error.without_url()))?;
        ensure!(answer.status().is_success(), "the issuer answers {}", answer.status());
        Ok(())
    }

    /// Where a browser is signed out at the issuer itself, if there is such an address; it leads back to `to`.
    pub async fn sign_out_address(&self, session: &Session, to: &str) -> Option<Url> {
        let mut at = self.discovered().await.ok()?.end_session_endpoint?;
        let hint = session.id_token.as_deref().map(|token| ("id_token_hint", token));
        let asked = [("client_id", self.client_id.as_str()), ("post_logout_redirect_uri", to)];
        at.query_pairs_mut().extend_pairs(hint.into_iter().chain(asked));
        Some(at)
    }

    async fn checked(&self, tokens: Tokens, name: Option<String>, email: Option<String>) -> anyhow::Result<Session> {
        let token = self.verifier.check(&tokens.access_token).await?;
        Ok(Session {
            sub: token.sub,
            name,
            email,
            roles: token.roles,
            access_token: tokens.access_token,
            refresh_token: tokens.refresh_token,
            id_token: tokens.id_token,
            good_until: Utc::now() + token.good_for,
        })
    }

    async fn tokens(&self, form: &[(&str, &str)]) -> Result<Tokens, NotRenewed> {
        let away = |error: reqwest::Error| NotRenewed::Away(anyhow!(error.without_url()));
        let at = self.reached(self.discovered().await.map_err(NotRenewed::Away)?.token_endpoint);
        let answer = self.client.post(at).form(form).send().await.map_err(away)?;
        let status = answer.status();
        if status.is_success() {
            return answer.json().await.map_err(away);
        }
        let why = answer.json::<Value>().await.unwrap_or_default();
        let why = format!("the issuer answers {status}: {}", why["error"].as_str().unwrap_or("no reason"));
        // RFC 6749, 5.2: what can't be right later either
        let is_final = status.is_client_error() && status != StatusCode::TOO_MANY_REQUESTS;
        Err(if is_final { NotRenewed::Refused(why) } else { NotRenewed::Away(anyhow!(why)) })
    }

    async fn discovered(&self) -> anyhow::Result<Discovered> {
        let at = format!("{}/.well-known/openid-configuration", self.internal.as_str().trim_end_matches('/'));
        let answer = self.client.get(at).send().await.and_then(reqwest::Response::error_for_status);
        let answer = answer.map_err(|error| anyhow!(error.without_url())).context("the issuer does not answer")?;
        Ok(answer.json().await?)
    }

    /// The same address, where the console reaches it.
    fn reached(&self, mut at: Url) -> Url {
        if at.as_str().starts_with(&self.issuer) {
            let path = at.path().to_owned();
            at = self.internal.clone();
            at.set_path(&path);
        }
        at
    }
}

/// What an ID token says. It came from the issuer itself, so its signature need not be checked (OpenID Connect Core 1.0,
/// 3.1.3.7, 6), and it is only shown.
fn claims(token: &str) -> anyhow::Result<Value> {
    let payload = token.split('.').nth(1).context("the ID token has no payload")?;
    Ok(serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload)?)?)
}
