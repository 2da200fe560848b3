//! The keys that sign tokens. A new one is published before it signs, so that whoever checks tokens knows it by then; an old
//! one stays published until no token that it signed is valid any more.

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use diesel::prelude::*;
use diesel::sql_query;
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::failure::Failure;
use crate::schema::signing_keys;
use crate::tokens::LIFE;

/// For how long a key is published before it signs. Services ask for the keys again when a token names an unknown one, but
/// only every 30 seconds, so it is longer than that.
pub const AHEAD: TimeDelta = TimeDelta::seconds(60);

/// For how long a key is published after it signed last: a token's life, and what clocks may differ by.
const AFTERWARDS: TimeDelta = TimeDelta::seconds(LIFE.num_seconds() + 120);

/// After this time a key is replaced.
const REPLACED_AFTER: TimeDelta = TimeDelta::hours(24);

#[derive(Clone, Queryable, Selectable, Insertable)]
#[diesel(table_name = signing_keys)]
pub struct Key {
    pub id: String,
    /// PKCS #8.
    pub private_key: Vec<u8>,
    pub public_jwk: Value,
    pub signs_from: DateTime<Utc>,
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Key").field("id", &self.id).field("signs_from", &self.signs_from).finish_non_exhaustive()
    }
}

impl Key {
    /// A new key for ES256.
    fn new(signs_from: DateTime<Utc>) -> Result<Self, Failure> {
        let unmade = |_| Failure::internal("a signing key could not be made");
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).map_err(unmade)?;
        let private_key = pair.to_pkcs8v1().map_err(unmade)?.as_ref().to_vec();
        // 4, and the two coordinates (SEC 1, 2.3.3)
        let point = pair.public_key().as_ref();
        let (Some(x), Some(y)) = (point.get(1..33), point.get(33..65)) else {
            return Err(Failure::internal("a public key has another form than P-256's"));
        };
        let id = Uuid::now_v7().simple().to_string();
        let public_jwk = json!({
            "kty": "EC",
            "crv": "P-256",
            "alg": "ES256",
            "use": "sig",
            "kid": id,
            "x": URL_SAFE_NO_PAD.encode(x),
            "y": URL_SAFE_NO_PAD.encode(y),
        });
        Ok(Self { id, private_key, public_jwk, signs_from })
    }
}

/// All keys that are published, the newest first.
#[derive(Clone, Debug)]
pub struct Keys(Vec<Key>);

impl Keys {
    /// The key that signs now. Where no key's time has come, as when clocks differ, the oldest does.
    pub fn signer(&self, now: DateTime<Utc>) -> Result<&Key, Failure> {
        let signer = self.0.iter().find(|key| key.signs_from <= now).or_else(|| self.0.last());
        signer.ok_or_else(|| Failure::internal("there is no signing key"))
    }

    /// The key that was made last; it may not sign yet.
    pub fn newest(&self) -> Option<&Key> {
        self.0.as_slice().first()
    }

    /// The public keys (RFC 7517).
    pub fn jwks(&self) -> Value {
        json!({"keys": self.0.iter().map(|key| &key.public_jwk).collect::<Vec<_>>()})
    }

    /// Whether no token of this key can be valid any more.
    fn is_over(&self, index: usize, now: DateTime<Utc>) -> bool {
        let next = index.checked_sub(1).and_then(|next| self.0.get(next));
        next.is_some_and(|next| next.signs_from + AFTERWARDS < now)
    }

    /// When the next key signs from, if it is time to make one.
    fn next(&self, asked: bool, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        match self.newest() {
            None => Some(now),
            // one is published already that doesn't sign yet
            Some(newest) if newest.signs_from > now => None,
            Some(newest) => (asked || newest.signs_from + REPLACED_AFTER < now).then_some(now + AHEAD),
        }
    }
}

async fn load(conn: &mut AsyncPgConnection) -> QueryResult<Keys> {
    let newest_first = signing_keys::table.order(signing_keys::signs_from.desc());
    newest_first.select(Key::as_select()).load(conn).await.map(Keys)
}

/// The keys. When it is time for another one, it is made.
pub async fn current(conn: &mut AsyncPgConnection, now: DateTime<Utc>) -> Result<Keys, Failure> {
    let keys = load(conn).await?;
    let is_due = keys.next(false, now).is_some() || (0..keys.0.len()).any(|index| keys.is_over(index, now));
    if is_due { replace(conn, false, now).await } else { Ok(keys) }
}

/// Makes the next key now, unless one is published already that doesn't sign yet.
pub async fn rotate(conn: &mut AsyncPgConnection, now: DateTime<Utc>) -> Result<Keys, Failure> {
    replace(conn, true, now).await
}

async fn replace(conn: &mut AsyncPgConnection, asked: bool, now: DateTime<Utc>) -> Result<Keys, Failure> {
    conn.transaction(async |conn| {
        // One at a time, so that two instances don't make a key each.
        sql_query("select pg_advisory_xact_lock(hashtext('signing_keys'))").execute(conn).await?;
        let mut keys = load(conn).await?;
        if let Some(signs_from) = keys.next(asked, now) {
            let key = Key::new(signs_from)?;
            diesel::insert_into(signing_keys::table).values(&key).execute(conn).await?;
            tracing::info!(key = key.id, signs_from = %key.signs_from, "a signing key is published");
            keys.0.insert(0, key);
        }
        if let Some(first) = (0..keys.0.len()).find(|index| keys.is_over(*index, now)) {
            // they are in order: what follows is over, too
            let over: Vec<_> = keys.0.split_off(first).into_iter().map(|key| key.id).collect();
            diesel::delete(signing_keys::table.filter(signing_keys::id.eq_any(over))).execute(conn).await?;
        }
        Ok(keys)
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Keys that sign from so many seconds after `now`.
    fn keys(now: DateTime<Utc>, signing_from: &[i64]) -> Keys {
        let key = |seconds: &i64| Key {
            id: seconds.to_string(),
            private_key: Vec::new(),
            public_jwk: Value::Null,
            signs_from: now + TimeDelta::seconds(*seconds),
        };
        Keys(signing_from.iter().map(key).collect())
    }

    #[test]
    fn a_new_key_does_not_sign_before_its_time() {
        let now = Utc::now();
        let keys = keys(now, &[60, -100]);
        assert_eq!(keys.signer(now).unwrap().id, "-100");
        assert_eq!(keys.signer(now + TimeDelta::seconds(60)).unwrap().id, "60");
        assert_eq!(keys.signer(now - TimeDelta::hours(1)).unwrap().id, "-100");
    }

    #[test]
    fn a_key_is_over_when_the_last_token_that_it_signed_is() {
        let now = Utc::now();
        let keys = keys(now, &[0, -1000]);
        let is_over = |seconds| keys.is_over(1, now + TimeDelta::seconds(seconds));
        assert!(!is_over(0) && !is_over(LIFE.num_seconds() + 60) && is_over(AFTERWARDS.num_seconds() + 1));
        assert!(!keys.is_over(0, now + TimeDelta::days(1000)), "the newest is never over");
    }

    #[test]
    fn there_is_one_new_key_at_a_time_and_one_a_day_without_being_asked() {
        let now = Utc::now();
        assert_eq!(keys(now, &[]).next(false, now), Some(now));
        assert_eq!(keys(now, &[30, -100]).next(true, now), None);
        assert_eq!(keys(now, &[-1]).next(true, now), Some(now + AHEAD));
        assert_eq!(keys(now, &[-1]).next(false, now), None);
        assert_eq!(keys(now, &[-24 * 3600 - 1]).next(false, now), Some(now + AHEAD));
    }
}
