//! An issuer in small: a discovery document, its keys, and tokens signed by them.

use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::{Jwk, JwkSet};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use rcgen::{KeyPair, SignatureAlgorithm};
use serde_json::{Value, json};
use service_kit::auth::{Access, AuthConfig, Guard, Source};
use service_kit::testing::eventually;
use tokio_util::sync::CancellationToken;
use wiremock::matchers::path;
use wiremock::{Mock, MockServer, ResponseTemplate};

pub const AUDIENCE: &str = "quadrille";
const DISCOVERY: &str = "/.well-known/openid-configuration";

pub struct Issuer {
    server: MockServer,
    pub signers: Vec<Signer>,
}

#[derive(Clone)]
pub struct Signer {
    id: String,
    pub algorithm: Algorithm,
    key: EncodingKey,
    jwk: Jwk,
    public_pem: String,
}

/// Seconds since 1970.
pub fn now() -> i64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs().try_into().unwrap()
}

/// What the issuer says of somebody, for ten minutes.
pub fn claims(issuer: &Issuer, sub: &str, roles: &[&str]) -> Value {
    let (iss, exp) = (issuer.server.uri(), now() + 600);
    json!({"iss": iss, "aud": AUDIENCE, "sub": sub, "exp": exp, "roles": roles})
}

impl Issuer {
    pub async fn start(signers: &[Signer]) -> Self {
        let issuer = Self { server: MockServer::start().await, signers: signers.to_vec() };
        issuer.keys_are(&issuer.signers.iter().collect::<Vec<_>>()).await;
        issuer
    }

    pub fn config(&self) -> AuthConfig {
        let (issuer, audience) = (self.server.uri(), AUDIENCE.to_owned());
        AuthConfig::By { keys: Source::Discovery(issuer.clone()), issuer, audience, roles_claim: "roles".to_owned() }
    }

    /// A guard that knows this issuer's keys.
    pub async fn guard(&self, access: Access) -> Guard {
        let guard = Guard::new(access, &self.config()).unwrap();
        tokio::spawn(guard.clone().run(CancellationToken::new()));
        eventually("its keys are known", Duration::from_secs(20), async || guard.is_able().is_ok()).await;
        guard
    }

    /// A token of somebody with these roles.
    pub fn token(&self, sub: &str, roles: &[&str]) -> String {
        self.signers[0].token(&claims(self, sub, roles))
    }

    pub async fn keys_are(&self, signers: &[&Signer]) {
        self.server.reset().await;
        let name = self.server.uri();
        let document = json!({"issuer": name, "jwks_uri": format!("{name}/keys")});
        // A key of a kind that nobody here knows, and a secret one, are among them.
        let mut keys =
            serde_json::to_value(JwkSet { keys: signers.iter().map(|signer| signer.jwk.clone()).collect() }).unwrap();
        let others = [json!({"kty": "XYZ", "kid": "x"}), json!({"kty": "oct", "kid": "k1", "k": "c2VjcmV0"})];
        keys["keys"].as_array_mut().unwrap().extend(others);
        self.answers(DISCOVERY, ResponseTemplate::new(200).set_body_json(document)).await;
        self.answers("/keys", ResponseTemplate::new(200).set_body_json(keys)).await;
    }

    pub async fn is_away(&self) {
        self.server.reset().await;
        self.answers(DISCOVERY, ResponseTemplate::new(503)).await;
    }

    /// How often it was asked for its keys since they are what they are.
    pub async fn asked(&self) -> usize {
        let asked = self.server.received_requests().await.unwrap();
        asked.iter().filter(|request| request.url.path() == "/keys").count()
    }

    async fn answers(&self, at: &str, answer: ResponseTemplate) {
        Mock::given(path(at)).respond_with(answer).mount(&self.server).await;
    }
}

impl Signer {
    pub fn es256(id: &str) -> Self {
        let key = pair(&rcgen::PKCS_ECDSA_P256_SHA256);
        Self::new(id, Algorithm::ES256, &key, EncodingKey::from_ec_pem(key.serialize_pem().as_bytes()).unwrap())
    }

    pub fn rs256(id: &str) -> Self {
        let key = pair(&rcgen::PKCS_RSA_SHA256);
        Self::new(id, Algorithm::RS256, &key, EncodingKey::from_rsa_pem(key.serialize_pem().as_bytes()).unwrap())
    }

    pub fn ed25519(id: &str) -> Self {
        let key = pair(&rcgen::PKCS_ED25519);
        Self::new(id, Algorithm::EdDSA, &key, EncodingKey::from_ed_pem(key.serialize_pem().as_bytes()).unwrap())
    }

    pub fn ps256(id: &str) -> Self {
        let key = pair(&rcgen::PKCS_RSA_SHA256);
        Self::new(id, Algorithm::PS256, &key, EncodingKey::from_rsa_pem(key.serialize_pem().as_bytes()).unwrap())
    }

    fn new(id: &str, algorithm: Algorithm, pair: &KeyPair, key: EncodingKey) -> Self {
        let mut jwk = match algorithm {
            Algorithm::EdDSA => {
                let x = URL_SAFE_NO_PAD.encode(pair.public_key_raw());
                serde_json::from_value(json!({"kty": "OKP", "crv": "Ed25519", "x": x})).unwrap()
            }
            _ => Jwk::from_encoding_key(&key, algorithm).unwrap(),
        };
        jwk.common.key_id = Some(id.to_owned()).filter(|id| !id.is_empty());
        // some issuers say it, some don't
        jwk.common.key_algorithm = jwk.common.key_algorithm.filter(|_| algorithm != Algorithm::PS256);
        Self { id: id.to_owned(), algorithm, key, jwk, public_pem: pair.public_key_pem() }
    }

    pub fn token(&self, claims: &Value) -> String {
        self.token_as(claims, self.algorithm)
    }

    pub fn token_as(&self, claims: &Value, algorithm: Algorithm) -> String {
        encode(&self.header(algorithm), claims, &self.key).unwrap()
    }

    pub fn with_header(&self, claims: &Value, name: &str, value: Value) -> String {
        let mut header = serde_json::to_value(self.header(self.algorithm)).unwrap();
        header[name] = value;
        let header: Header = serde_json::from_value(header).unwrap();
        encode(&header, claims, &self.key).unwrap()
    }

    fn header(&self, algorithm: Algorithm) -> Header {
        Header { kid: Some(self.id.clone()).filter(|id| !id.is_empty()), ..Header::new(algorithm) }
    }

    pub fn without_signature(&self, claims: &Value) -> String {
        let (token, header) = (self.token(claims), URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#));
        format!("{header}.{}.", token.split('.').nth(1).unwrap())
    }

    pub fn by_hmac_with_public_key(&self, claims: &Value) -> String {
        encode(&self.header(Algorithm::HS256), claims, &EncodingKey::from_secret(self.public_pem.as_bytes())).unwrap()
    }

    pub fn with_payload_of(&self, claims: &Value, others: &Value) -> String {
        let (token, other) = (self.token(claims), self.token(others));
        let parts: Vec<_> = token.split('.').collect();
        format!("{}.{}.{}", parts[0], other.split('.').nth(1).unwrap(), parts[2])
    }
}

fn pair(algorithm: &'static SignatureAlgorithm) -> KeyPair {
    KeyPair::generate_for(algorithm).unwrap()
}
