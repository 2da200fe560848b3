//! Tokens and access on a running server, with an issuer whose keys are asked for over HTTP.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use actix_web::web::{self, ServiceConfig};
use actix_web::{HttpResponse, Responder};
use quadrille_testing::issuer::{AUDIENCE, Issuer, Signer, claims, now};
use secrecy::SecretString;
use serde_json::{Value, json};
use service_kit::auth::Who::{Anybody, Customer, Guest, Machine, Operator, Staff, Visitor};
use service_kit::auth::{Access, AuthConfig, Caller, Guard, GuestLinks, Rule, Sees};
use service_kit::http::{Readiness, bind};
use service_kit::testing::eventually;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

const SOON: Duration = Duration::from_secs(20);
const SECRET: &str = "what signs the links of guests here";

const ACCESS: Access = Access(&[
    Rule { method: "GET", route: "/catalogue", who: &[Anybody] },
    Rule { method: "POST", route: "/orders", who: &[Visitor, Customer, Staff] },
    Rule { method: "GET", route: "/orders/{id}", who: &[Guest, Customer, Staff, Operator, Machine("orders.read")] },
    Rule { method: "POST", route: "/stock", who: &[Staff, Machine("stock.write")] },
]);

/// Says who it was called by.
async fn echo(caller: Caller) -> impl Responder {
    let sees = match caller.sees() {
        Sees::Everything => "everything".to_owned(),
        Sees::Customer(own) => format!("of {own}"),
        Sees::Order(order) => format!("order {order}"),
        Sees::Nothing => "nothing".to_owned(),
    };
    HttpResponse::Ok().json(json!({"sees": sees, "sub": caller.sub()}))
}

fn routes(config: &mut ServiceConfig) {
    config
        .service(web::resource("/catalogue").get(echo))
        .service(web::resource("/orders").post(echo))
        .service(web::resource("/orders/{id}").get(echo))
        .service(web::resource("/stock").post(echo).delete(echo))
        .service(web::resource("/forgotten").get(echo));
}

struct Served {
    url: String,
    stop: CancellationToken,
}

impl Served {
    fn start(config: &AuthConfig) -> Self {
        Self::asking_every(config, 30_000)
    }

    fn asking_every(config: &AuthConfig, milliseconds: u64) -> Self {
        let guests = GuestLinks::new(&SecretString::from(SECRET)).unwrap();
        let guard = Guard::new(ACCESS, config).unwrap().with_guests(guests).asking_every(milliseconds);
        let (stop, addr) = (CancellationToken::new(), SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
        let asked = guard.clone();
        let ready = Readiness::default().and_able("auth", move || std::future::ready(asked.is_able()));
        let server = bind("test", addr, ready, guard.clone(), stop.clone(), routes).unwrap();
        let url = format!("http://127.0.0.1:{}", server.port());
        tokio::spawn(server.run());
        tokio::spawn(guard.run(stop.clone()));
        Self { url, stop }
    }

    async fn asked(&self, method: &str, path: &str, token: Option<&str>) -> (u16, Option<String>, Value) {
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        let mut request = reqwest::Client::new().request(method, format!("{}{path}", self.url));
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        let answer = request.send().await.unwrap();
        let challenge = answer.headers().get("www-authenticate").map(|value| value.to_str().unwrap().to_owned());
        (answer.status().as_u16(), challenge, answer.json().await.unwrap())
    }

    /// The status, and what is seen there.
    async fn sees(&self, method: &str, path: &str, token: Option<&str>) -> (u16, String) {
        let (status, _, body) = self.asked(method, path, token).await;
        (status, body["sees"].as_str().unwrap_or_default().to_owned())
    }

    /// Whether the issuer's keys are known.
    async fn is_ready(&self) -> bool {
        self.asked("GET", "/readyz", None).await.2["status"] == "ready"
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

async fn with(issuer: &Issuer) -> Served {
    let served = Served::start(&issuer.config());
    eventually("the keys are known", SOON, async || served.is_ready().await).await;
    served
}

#[tokio::test(flavor = "multi_thread")]
async fn each_route_is_for_whom_the_table_says_and_shows_what_is_theirs() {
    let issuer = Issuer::start(&[Signer::es256("k1")]).await;
    let (served, order) = (with(&issuer).await, Uuid::now_v7());
    let of = |claims: Value| issuer.signers[0].token(&claims);
    let ann = of(claims(&issuer, "ann", &["customer"]));
    let sam = of(claims(&issuer, "sam", &["staff"]));
    let olga = of(claims(&issuer, "olga", &["operator"]));
    let mut machine = claims(&issuer, "warehouse", &[]);
    machine["scope"] = json!("stock.read stock.write");
    let (machine, nobody) = (of(machine), of(claims(&issuer, "nobody", &[])));
    let guest = GuestLinks::new(&SecretString::from(SECRET)).unwrap().token(order).unwrap();
    let callers = [None, Some(&guest), Some(&ann), Some(&sam), Some(&olga), Some(&machine), Some(&nobody)];
    let (all, own, of_guest) = ("everything".to_owned(), "of ann".to_owned(), format!("order {order}"));
    let no = |status: u16| (status, String::new());
    let path = format!("/orders/{order}");
    let expected = [
        (
            "GET",
            "/catalogue",
            [all.clone(), all.clone(), all.clone(), all.clone(), all.clone(), all.clone(), all.clone()]
                .map(|sees| (200, sees)),
        ),
        (
            "POST",
            "/orders",
            [(200, "nothing".to_owned()), no(403), (200, own.clone()), (200, all.clone()), no(403), no(403), no(403)],
        ),
        (
            "GET",
            &path,
            [no(401), (200, of_guest), (200, own), (200, all.clone()), (200, all.clone()), no(403), no(403)],
        ),
        ("POST", "/stock", [no(401), no(403), no(403), (200, all.clone()), no(403), (200, all.clone()), no(403)]),
        ("GET", "/%66orgotten", [no(403), no(403), no(403), no(403), no(403), no(403), no(403)]),
        ("POST", "/st%6Fck", [no(401), no(403), no(403), (200, all.clone()), no(403), (200, all.clone()), no(403)]),
        ("GET", "/forgotten", [no(403), no(403), no(403), no(403), no(403), no(403), no(403)]),
        ("DELETE", "/stock", [no(405), no(405), no(405), no(405), no(405), no(405), no(405)]),
        ("GET", "/nowhere", [no(404), no(404), no(404), no(404), no(404), no(404), no(404)]),
    ];
    for (method, path, answers) in expected {
        for (number, (caller, answer)) in callers.iter().zip(answers).enumerate() {
            let seen = served.sees(method, path, caller.map(String::as_str)).await;
            assert_eq!(seen, answer, "{method} {path} by caller {number}");
        }
    }
    let (_, _, body) = served.asked("POST", "/stock", Some(&ann)).await;
    assert_eq!(body["detail"], "This needs the role staff or the scope stock.write.");
    let by_link = served.sees("GET", &format!("{path}?token={guest}"), None).await;
    assert_eq!(by_link, (200, format!("order {order}")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_wrong_in_one_way_is_refused_in_words_that_help_no_forger() {
    let signers = [Signer::es256("k1"), Signer::rs256("k2"), Signer::ed25519("k3"), Signer::ps256("k4")];
    let issuer = Issuer::start(&signers).await;
    let served = with(&issuer).await;
    let (signer, good) = (&issuer.signers[0], claims(&issuer, "ann", &["customer"]));
    for signer in &issuer.signers {
        let seen = served.sees("GET", "/orders/1", Some(&signer.token(&good))).await;
        assert_eq!(seen, (200, "of ann".to_owned()), "{:?}", signer.algorithm);
    }
    let but = |name: &str, value: Value| {
        let mut claims = good.clone();
        claims[name] = value;
        signer.token(&claims)
    };
    let without = |name: &str| {
        let mut claims = good.clone();
        claims.as_object_mut().unwrap().remove(name);
        signer.token(&claims)
    };
    let stranger = Signer::es256("k1");
    let not_valid = "The token is not valid.";
    let mut wrong = vec![
        ("expired", but("exp", json!(now() - 61)), "The token has expired."),
        ("not yet valid", but("nbf", json!(now() + 120)), "The token is not valid yet."),
        ("another issuer", but("iss", json!("https://elsewhere.example")), "The token is not for this service."),
        ("another audience", but("aud", json!("elsewhere")), "The token is not for this service."),
        ("another key of that name", stranger.token(&good), not_valid),
        ("an unknown key", Signer::es256("k9").token(&good), not_valid),
        ("alg none", signer.without_signature(&good), not_valid),
        ("something critical", signer.with_header(&good, "crit", json!(["exp"])), not_valid),
        ("another kind of token", signer.with_header(&good, "typ", json!("logout+jwt")), not_valid),
        ("HMAC with the public key", signer.by_hmac_with_public_key(&good), not_valid),
        ("a changed payload", signer.with_payload_of(&good, &claims(&issuer, "ben", &["staff"])), not_valid),
        ("no sub", without("sub"), not_valid),
        ("a blank sub", but("sub", json!(" ")), not_valid),
        ("an array as sub", but("sub", json!(["ann"])), not_valid),
        ("a number as scope", but("scope", json!(7)), not_valid),
        ("a text as roles", but("roles", json!("staff")), not_valid),
        ("no exp", without("exp"), not_valid),
        ("no iss", without("iss"), not_valid),
        ("an array as iss", but("iss", json!([good["iss"]])), not_valid),
        ("no aud", without("aud"), not_valid),
        ("70 kB", but("more", json!("x".repeat(70_000))), not_valid),
        ("no token at all", "nonsense".to_owned(), not_valid),
        ("a guest's that nobody signed", format!("guest.{}.00", Uuid::now_v7().simple()), not_valid),
    ];
    wrong.push((
        "another algorithm of the key",
        issuer.signers[1].token_as(&good, jsonwebtoken::Algorithm::RS512),
        not_valid,
    ));
    for (what, token, says) in wrong {
        let (status, challenge, body) = served.asked("GET", "/orders/1", Some(&token)).await;
        assert_eq!((status, body["detail"].as_str()), (401, Some(says)), "{what}");
        let challenge = challenge.unwrap();
        assert!(challenge.starts_with("Bearer error=\"invalid_token\"") && challenge.contains(says), "{challenge}");
    }
    for (what, claim, value) in [("skew", "exp", now() - 50), ("skew", "nbf", now() + 50)] {
        assert_eq!(served.sees("GET", "/orders/1", Some(&but(claim, json!(value)))).await.0, 200, "{what}");
    }
    assert_eq!(served.sees("GET", "/orders/1", Some(&but("aud", json!(["x", AUDIENCE])))).await.0, 200);
    let (status, challenge, _) = served.asked("GET", "/orders/1", None).await;
    assert_eq!((status, challenge.as_deref()), (401, Some("Bearer")));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_key_makes_the_issuer_be_asked_and_not_for_each_token() {
    let issuer = Issuer::start(&[Signer::es256("k1")]).await;
    let served = with(&issuer).await;
    let asked = issuer.asked().await;
    let known = issuer.signers[0].token(&claims(&issuer, "ann", &["customer"]));
    for _ in 0..20 {
        let unknown = Signer::es256("k9").token(&claims(&issuer, "ann", &["customer"]));
        assert_eq!(served.sees("GET", "/orders/1", Some(&unknown)).await.0, 401);
    }
    assert_eq!(issuer.asked().await, asked + 1);
    assert_eq!(served.sees("GET", "/orders/1", Some(&known)).await.0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_without_a_name_is_found_by_what_it_signs_also_when_it_is_new() {
    let issuer = Issuer::start(&[Signer::es256("")]).await;
    let served = with(&issuer).await;
    let token = |signer: &Signer| signer.token(&claims(&issuer, "ann", &["customer"]));
    assert_eq!(served.sees("GET", "/orders/1", Some(&token(&issuer.signers[0]))).await.0, 200);
    let new = Signer::es256("");
    issuer.keys_are(&[&new]).await;
    assert_eq!(served.sees("GET", "/orders/1", Some(&token(&new))).await.0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scope_makes_no_machine_of_a_person_and_no_account_is_a_guest() {
    let issuer = Issuer::start(&[Signer::es256("k1")]).await;
    let served = with(&issuer).await;
    let mut ann = claims(&issuer, "ann", &["customer"]);
    ann["scope"] = json!("stock.write orders.read");
    let ann = issuer.signers[0].token(&ann);
    assert_eq!(served.sees("POST", "/stock", Some(&ann)).await.0, 403);
    assert_eq!(served.sees("GET", "/orders/1", Some(&ann)).await, (200, "of ann".to_owned()));
    let guest = issuer.token("guest-1", &["customer"]);
    assert_eq!(served.sees("GET", "/orders/1", Some(&guest)).await.0, 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_key_is_known_with_the_first_token_that_names_it_and_known_keys_outlive_their_issuer() {
    let issuer = Issuer::start(&[Signer::es256("k1")]).await;
    let served = Served::asking_every(&issuer.config(), 0);
    eventually("the keys are known", SOON, async || served.is_ready().await).await;
    let new = Signer::es256("k2");
    issuer.keys_are(&[&issuer.signers[0], &new]).await;
    let tokens = [&issuer.signers[0], &new].map(|signer| signer.token(&claims(&issuer, "ann", &["customer"])));
    for token in &tokens {
        assert_eq!(served.sees("GET", "/orders/1", Some(token)).await.0, 200);
    }
    issuer.is_away().await;
    let unknown = Signer::es256("k9").token(&claims(&issuer, "ann", &["customer"]));
    assert_eq!(served.sees("GET", "/orders/1", Some(&unknown)).await.0, 401);
    for token in &tokens {
        assert_eq!(served.sees("GET", "/orders/1", Some(token)).await.0, 200, "known keys stay known");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_starts_without_its_issuer_says_so_and_goes_on_by_itself() {
    let issuer = Issuer::start(&[Signer::es256("k1")]).await;
    issuer.is_away().await;
    let served = Served::start(&issuer.config());
    let token = issuer.signers[0].token(&claims(&issuer, "ann", &["customer"]));
    let (status, _, body) = served.asked("GET", "/orders/1", Some(&token)).await;
    assert_eq!(status, 503, "{body}");
    assert_eq!(served.sees("GET", "/catalogue", None).await.0, 200, "what needs no token goes on");
    eventually("it says what is wrong", SOON, async || {
        let body = served.asked("GET", "/readyz", None).await.2;
        body["status"] == "degraded" && body["checks"]["auth"].as_str().unwrap().contains("answers 503")
    })
    .await;
    issuer.keys_are(&[&issuer.signers[0]]).await;
    eventually("it is ready", SOON, async || served.is_ready().await).await;
    assert_eq!(served.sees("GET", "/orders/1", Some(&token)).await.0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn roles_are_found_where_the_configuration_says() {
    let issuer = Issuer::start(&[Signer::es256("k1")]).await;
    let AuthConfig::By { issuer: name, audience, keys, .. } = issuer.config() else { panic!("off") };
    let config = AuthConfig::By { issuer: name, audience, keys, roles_claim: "realm_access.roles".to_owned() };
    let served = Served::start(&config);
    eventually("the keys are known", SOON, async || served.is_ready().await).await;
    let mut claims = claims(&issuer, "sam", &[]);
    claims["realm_access"] = json!({"roles": ["offline_access", "staff"]});
    let token = issuer.signers[0].token(&claims);
    assert_eq!(served.sees("POST", "/stock", Some(&token)).await, (200, "everything".to_owned()));
    let AuthConfig::By { issuer: name, audience, keys, .. } = issuer.config() else { panic!("off") };
    let roles_claim = "https://shop.example/roles".to_owned();
    let served = Served::start(&AuthConfig::By { issuer: name, audience, keys, roles_claim: roles_claim.clone() });
    eventually("the keys are known", SOON, async || served.is_ready().await).await;
    claims[roles_claim] = json!(["staff"]);
    let token = issuer.signers[0].token(&claims);
    assert_eq!(served.sees("POST", "/stock", Some(&token)).await, (200, "everything".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn two_authorization_headers_or_another_scheme_are_refused() {
    let issuer = Issuer::start(&[Signer::es256("k1")]).await;
    let served = with(&issuer).await;
    let token = issuer.signers[0].token(&claims(&issuer, "ann", &["customer"]));
    let client = reqwest::Client::new();
    let request = || client.get(format!("{}/orders/1", served.url));
    let both = request().bearer_auth(&token).header("authorization", format!("Bearer {token}")).send().await.unwrap();
    let basic = request().basic_auth("ann", Some("secret")).send().await.unwrap();
    assert_eq!([both.status().as_u16(), basic.status().as_u16()], [401, 401]);
}
