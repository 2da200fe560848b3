//! JSON Web Tokens (RFC 7519) of an OpenID Connect issuer, checked as RFC 8725 advises.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{DecodingKey, Header, Validation, decode, decode_header};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::Keys;
use super::keys::is_accepted;

/// A token that is larger is refused unread.
const LARGEST: usize = 16 * 1024;
/// The kinds of token that services take, where a token says its kind (RFC 9068, 2.1).
const KINDS: [&str; 3] = ["JWT", "at+jwt", "application/at+jwt"];
const LONGEST_SUB: usize = 255;
/// By how much clocks may differ.
const SKEW: Duration = Duration::from_secs(60);

/// Checks the tokens of one issuer.
#[derive(Clone, Debug)]
pub struct Verifier {
    keys: Arc<Keys>,
    issuer: String,
    audience: String,
    /// The name or the path of the claim with the roles.
    roles_claim: String,
}

/// What a token that was accepted says of whoever has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// Who it is, by the issuer's own name for them.
    pub sub: String,
    /// Their roles.
    pub roles: Vec<String>,
    /// What a machine may do.
    pub scopes: Vec<String>,
    /// For how long it is accepted from now on.
    pub good_for: Duration,
}

impl Token {
    pub(super) fn has(&self, role: &str) -> bool {
        self.roles.iter().any(|known| known == role)
    }
}

/// Why a token is refused, in words that help nobody who forges one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Its `exp` has passed.
    #[error("The token has expired.")]
    Expired,
    /// Its `nbf` lies ahead.
    #[error("The token is not valid yet.")]
    NotYet,
    /// Its `aud` or `iss` is another one.
    #[error("The token is not for this service.")]
    ForOthers,
    /// Anything else.
    #[error("The token is not valid.")]
    Invalid,
    /// No key of the issuer is known yet.
    #[error("Tokens can't be checked now: no key of the issuer is known yet.")]
    NoKeys,
}

#[derive(Deserialize)]
struct Claims {
    sub: String,
    #[expect(dead_code, reason = "it is checked elsewhere, and must be one text")]
    iss: String,
    /// In seconds since 1970.
    exp: f64,
    #[serde(default)]
    scope: Option<String>,
    #[serde(flatten)]
    others: Map<String, Value>,
}

impl Verifier {
    /// Accepts what `issuer` signed for `audience`; roles are an array of texts at `roles_claim`.
    pub const fn new(keys: Arc<Keys>, issuer: String, audience: String, roles_claim: String) -> Self {
        Self { keys, issuer, audience, roles_claim }
    }

    /// Checks signature, issuer, audience and times. If no known key fits, the issuer is asked for its keys again, which is
    /// bounded in time and number ([`Keys::renewed`]).
    ///
    /// # Errors
    /// It is refused.
    pub async fn check(&self, token: &str) -> Result<Token, Refused> {
        if token.len() > LARGEST {
            return Err(Refused::Invalid);
        }
        let header = decode_header(token).map_err(|_| Refused::Invalid)?;
        let is_access_token = |typ: &String| KINDS.iter().any(|kind| typ.eq_ignore_ascii_case(kind));
        // nothing critical is understood here (RFC 7515, 4.1.11)
        if header.crit.is_some() || !is_accepted(header.alg) || !header.typ.as_ref().is_none_or(is_access_token) {
            return Err(Refused::Invalid);
        }
        let seen = self.keys.answers();
        let mut checked = self.check_by_known_keys(token, &header);
        let is_known = header.kid.as_deref().is_some_and(|id| self.keys.has(id));
        if checked == Err(Refused::Invalid) && !is_known && self.keys.renewed(seen).await {
            checked = self.check_by_known_keys(token, &header);
        }
        checked.map_err(|refused| if self.keys.known() { refused } else { Refused::NoKeys })
    }

    /// Of several keys that fit, one must have signed it.
    fn check_by_known_keys(&self, token: &str, header: &Header) -> Result<Token, Refused> {
        let mut refused = Refused::Invalid;
        for key in self.keys.of(header.kid.as_deref(), header.alg) {
            match self.claims(token, header, &key.decoding) {
                Ok(claims) => return self.read(claims),
                Err(Refused::Invalid) => {}
                Err(telling) => refused = telling,
            }
        }
        Err(refused)
    }

    fn claims(&self, token: &str, header: &Header, key: &DecodingKey) -> Result<Claims, Refused> {
        let mut validation = Validation::new(header.alg);
        validation.leeway = SKEW.as_secs();
        validation.validate_nbf = true;
        validation.set_issuer(&[&self.issuer]);
        validation.set_audience(&[&self.audience]);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        decode::<Claims>(token, key, &validation).map(|decoded| decoded.claims).map_err(|error| match error.kind() {
            ErrorKind::ExpiredSignature => Refused::Expired,
            ErrorKind::ImmatureSignature => Refused::NotYet,
            ErrorKind::InvalidAudience | ErrorKind::InvalidIssuer => Refused::ForOthers,
            _ => Refused::Invalid,
        })
    }

    fn read(&self, claims: Claims) -> Result<Token, Refused> {
        // OpenID Connect Core 1.0, 2: at most 255 ASCII characters
        let is_name = claims.sub.len() <= LONGEST_SUB && claims.sub.bytes().all(|byte| byte.is_ascii_graphic());
        if claims.sub.is_empty() || !is_name {
            return Err(Refused::Invalid);
        }
        let roles = match self.roles_of(&claims.others) {
            None => Vec::new(),
            Some(Value::Array(roles)) => roles.iter().filter_map(|role| role.as_str().map(str::to_owned)).collect(),
            Some(_) => return Err(Refused::Invalid),
        };
        let scopes = claims.scope.unwrap_or_default().split_ascii_whitespace().map(str::to_owned).collect();
        let expires = Duration::try_from_secs_f64(claims.exp).map_err(|_| Refused::Invalid)?;
        let accepted_until = SystemTime::UNIX_EPOCH.checked_add(expires + SKEW).ok_or(Refused::Invalid)?;
        let good_for = accepted_until.duration_since(SystemTime::now()).unwrap_or_default();
        Ok(Token { sub: claims.sub, roles, scopes, good_for })
    }

    /// The claim of this very name, as `https://shop.example/roles`, or else at this path, as `realm_access.roles`.
    fn roles_of<'a>(&self, claims: &'a Map<String, Value>) -> Option<&'a Value> {
        if let Some(roles) = claims.get(&self.roles_claim) {
            return Some(roles);
        }
        let (mut at, mut inside) = (None, Some(claims));
        for name in self.roles_claim.split('.') {
            at = inside.and_then(|claims| claims.get(name));
            inside = at.and_then(Value::as_object);
        }
        at
    }

    /// Why tokens can't be checked, if they can't.
    ///
    /// # Errors
    /// No key is known.
    pub fn is_able(&self) -> Result<(), String> {
        self.keys.is_able()
    }

    pub(super) fn keys(&self) -> &Keys {
        &self.keys
    }
}
