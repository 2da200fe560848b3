//! The issuer's public keys (RFC 7517). They are asked for at the start, now and then, and when a token is signed by an unknown
//! one; what is known stays until the issuer says otherwise.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use reqwest::{Client, redirect};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::sync::{Notify, Semaphore, watch};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::http_client;
use crate::retry::Backoff;

/// How often unknown keys make the issuer be asked, in milliseconds.
const AT_MOST_EVERY: u64 = 30_000;
/// How often it is asked anyway, for keys that it has withdrawn.
const ANYWAY: Duration = Duration::from_secs(600);
/// The longest wait between two questions that fail.
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// How long an answer may take, and how long a request waits for one that others wait for, too.
const PATIENCE: Duration = Duration::from_secs(5);
/// How many requests may wait for the issuer at once: as many as a server has, so that a new key refuses none of them.
const WAITING: usize = 1024;
/// An issuer has a few keys; whoever sends megabytes is none.
const LARGEST_ANSWER: usize = 256 * 1024;
const MOST_KEYS: usize = 64;

/// Where the keys are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// In the discovery document of this issuer (OpenID Connect Discovery 1.0, 4).
    Discovery(String),
    /// At this address.
    Jwks(String),
}

/// The keys of one issuer.
#[derive(Debug)]
pub struct Keys {
    source: Source,
    client: Client,
    known: RwLock<Arc<Vec<Arc<Key>>>>,
    /// Why the issuer was asked in vain.
    failure: RwLock<Option<String>>,
    /// Somebody waits for a key that isn't known.
    wanted: Notify,
    /// When somebody last did, and how many answers there were by then.
    wanted_at: Mutex<Option<(Instant, u64)>>,
    waiting: Semaphore,
    /// Counts the answers.
    answers: watch::Sender<u64>,
    /// In milliseconds.
    at_most_every: AtomicU64,
}

/// A key and the algorithms that it may be used with.
pub struct Key {
    id: Option<String>,
    algorithms: Vec<Algorithm>,
    pub(super) decoding: DecodingKey,
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Key").field("id", &self.id).field("algorithms", &self.algorithms).finish_non_exhaustive()
    }
}

#[derive(Deserialize)]
struct DiscoveryDocument {
    issuer: String,
    jwks_uri: String,
}

#[derive(Deserialize)]
struct KeySet {
    keys: Vec<serde_json::Value>,
}

impl Keys {
    /// No key is known yet, and nothing is asked before [`Keys::run`].
    ///
    /// # Errors
    /// The address of the source is none, or this machine's TLS set-up is broken.
    pub fn new(source: Source) -> anyhow::Result<Self> {
        let (Source::Discovery(address) | Source::Jwks(address)) = &source;
        let url = Url::parse(address).with_context(|| format!("{address:?} is no address"))?;
        let client = http_client::builder(&url).connect_timeout(Duration::from_secs(3)).timeout(PATIENCE);
        let client = client.redirect(redirect::Policy::none());
        Ok(Self {
            source,
            client: client.build().context("no client for the issuer (are CA certificates installed?)")?,
            known: RwLock::default(),
            failure: RwLock::default(),
            wanted: Notify::new(),
            wanted_at: Mutex::default(),
            waiting: Semaphore::new(WAITING),
            answers: watch::Sender::new(0),
            at_most_every: AtomicU64::new(AT_MOST_EVERY),
        })
    }

    /// Unknown keys make the issuer be asked this often, in milliseconds.
    #[cfg(feature = "testing")]
    pub(super) fn ask_every(&self, milliseconds: u64) {
        self.at_most_every.store(milliseconds, Ordering::Relaxed);
    }

    /// Keeps the keys up to date until told to stop. What fails is tried again, with backoff.
    pub async fn run(&self, stop: CancellationToken) {
        let mut backoff = Backoff::new(Duration::from_millis(250), LONGEST_WAIT);
        loop {
            let Some(answer) = stop.run_until_cancelled(self.ask()).await else { return };
            let wait = if self.note(answer) {
                backoff.reset();
                ANYWAY
            } else {
                backoff.next_wait()
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = sleep(wait) => {}
                () = self.wanted.notified() => {}
            }
        }
    }

    /// The known keys that could have signed a token which names this key and algorithm.
    pub(super) fn of(&self, id: Option<&str>, algorithm: Algorithm) -> Vec<Arc<Key>> {
        let fits = |key: &&Arc<Key>| {
            key.algorithms.contains(&algorithm) && id.is_none_or(|id| key.id.as_deref().is_none_or(|known| known == id))
        };
        self.all().iter().filter(fits).cloned().collect()
    }

    /// Whether a key of this name is known.
    pub(super) fn has(&self, id: &str) -> bool {
        self.all().iter().any(|key| key.id.as_deref() == Some(id))
    }

    /// How often the issuer has answered, or failed to.
    pub(super) fn answers(&self) -> u64 {
        *self.answers.borrow()
    }

    /// Has the issuer asked again, unless that was done a moment ago, and waits for its answer for a while. Of many requests
    /// that bring a new key at the same time one has it asked, and all wait. Returns whether there is an answer that whoever
    /// had `seen` so many doesn't know yet.
    pub(super) async fn renewed(&self, seen: u64) -> bool {
        let mut answers = self.answers.subscribe();
        if *answers.borrow_and_update() != seen {
            return true;
        }
        let Ok(_place) = self.waiting.try_acquire() else { return false };
        self.is_asked(seen) && timeout(PATIENCE, answers.changed()).await.is_ok()
    }

    /// Whether the issuer is asked now, which it is not for each unknown key.
    fn is_asked(&self, seen: u64) -> bool {
        let at_most_every = Duration::from_millis(self.at_most_every.load(Ordering::Relaxed));
        let mut last = self.wanted_at.lock().unwrap_or_else(PoisonError::into_inner);
        match *last {
            Some((at, answers)) if at.elapsed() < at_most_every => answers == seen,
            _ => {
                *last = Some((Instant::now(), seen));
                self.wanted.notify_one();
                true
            }
        }
    }

    /// Whether any key is known.
    pub fn known(&self) -> bool {
        !self.all().is_empty()
    }

    pub(super) fn is_able(&self) -> Result<(), String> {
        if self.known() {
            return Ok(());
        }
        let why = self.failure.read().unwrap_or_else(PoisonError::into_inner).clone();
        let why = why.unwrap_or_else(|| "it has not answered yet".to_owned());
        Err(format!("no key of the issuer is known, so tokens can't be checked: {why}"))
    }

    fn all(&self) -> Arc<Vec<Arc<Key>>> {
        Arc::clone(&self.known.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Takes note of an answer. Returns whether it has keys.
    fn note(&self, answer: anyhow::Result<Vec<Arc<Key>>>) -> bool {
        let failure = match answer {
            Ok(keys) => {
                *self.known.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(keys);
                None
            }
            Err(error) => Some(format!("{error:#}")),
        };
        let is_well = failure.is_none();
        let mut known = self.failure.write().unwrap_or_else(PoisonError::into_inner);
        match (&*known, &failure) {
            (None, Some(error)) => tracing::warn!(error, "the issuer's keys can't be asked for now"),
            (Some(_), None) => tracing::info!("the issuer's keys are known again"),
            _ => {}
        }
        *known = failure;
        drop(known);
        self.answers.send_modify(|count| *count += 1);
        is_well
    }

    async fn ask(&self) -> anyhow::Result<Vec<Arc<Key>>> {
        let address = match &self.source {
            Source::Jwks(address) => address.clone(),
            Source::Discovery(issuer) => {
                let at = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
                let document: DiscoveryDocument = self.get(&at).await?;
                ensure!(document.issuer == *issuer, "{at} is of {:?}, and AUTH_ISSUER is {issuer:?}", document.issuer);
                let is_as_safe = !at.starts_with("https:") || document.jwks_uri.starts_with("https:");
                ensure!(is_as_safe, "{at} names {:?}, which anybody on the way could answer for", document.jwks_uri);
                document.jwks_uri
            }
        };
        let set: KeySet = self.get(&address).await?;
        // A key of a kind that isn't known here must not keep the others from being read.
        let known = set.keys.into_iter().take(MOST_KEYS).filter_map(|key| serde_json::from_value::<Jwk>(key).ok());
        let keys: Vec<_> = known.filter_map(|jwk| Key::read(&jwk)).map(Arc::new).collect();
        ensure!(!keys.is_empty(), "{address} has no key for RS256, PS256, ES256 or EdDSA");
        Ok(keys)
    }

    async fn get<T: DeserializeOwned>(&self, address: &str) -> anyhow::Result<T> {
        let mut answer = self.client.get(address).send().await.with_context(|| format!("asking {address}"))?;
        if !answer.status().is_success() {
            bail!("{address} answers {}", answer.status().as_u16());
        }
        let mut body = Vec::new();
        while let Some(part) = answer.chunk().await.with_context(|| format!("reading {address}"))? {
            body.extend_from_slice(&part);
            ensure!(body.len() <= LARGEST_ANSWER, "{address} has more than {LARGEST_ANSWER} bytes");
        }
        serde_json::from_slice(&body).with_context(|| format!("{address} is not what was expected there"))
    }
}

impl Key {
    /// None for keys that are not for signatures, or whose kind is not accepted. A symmetric one never is.
    fn read(jwk: &Jwk) -> Option<Self> {
        if matches!(&jwk.common.public_key_use, Some(other) if *other != PublicKeyUse::Signature) {
            return None;
        }
        let possible: &[Algorithm] = match &jwk.algorithm {
            AlgorithmParameters::RSA(_) => &[Algorithm::RS256, Algorithm::PS256],
            AlgorithmParameters::EllipticCurve(curve) if curve.curve == EllipticCurve::P256 => &[Algorithm::ES256],
            AlgorithmParameters::OctetKeyPair(_) => &[Algorithm::EdDSA],
            _ => &[],
        };
        let algorithms: Vec<_> = match jwk.common.key_algorithm {
            None => possible.to_vec(),
            Some(only) => possible.iter().copied().filter(|algorithm| named(*algorithm) == only).collect(),
        };
        if algorithms.is_empty() {
            return None;
        }
        let decoding = DecodingKey::from_jwk(jwk).ok()?;
        Some(Self { id: jwk.common.key_id.clone(), algorithms, decoding })
    }
}

/// Whether keys can be for it.
pub(super) fn is_accepted(algorithm: Algorithm) -> bool {
    matches!(algorithm, Algorithm::RS256 | Algorithm::PS256 | Algorithm::ES256 | Algorithm::EdDSA)
}

const fn named(algorithm: Algorithm) -> KeyAlgorithm {
    match algorithm {
        Algorithm::PS256 => KeyAlgorithm::PS256,
        Algorithm::ES256 => KeyAlgorithm::ES256,
        Algorithm::EdDSA => KeyAlgorithm::EdDSA,
        _ => KeyAlgorithm::RS256,
    }
}
