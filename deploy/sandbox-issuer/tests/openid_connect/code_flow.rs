//! Authorization code with PKCE, as a program does it.

use reqwest::Response;
use serde_json::{Value, json};
use url::Url;

use crate::page::Page;
use crate::{Issuer, answer, claims};

const REDIRECT: &str = "http://127.0.0.1:4321/callback";
/// The example of RFC 7636, appendix B.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

/// A program that has somebody sign in.
pub struct Flow<'a>(&'a Issuer);

impl<'a> Flow<'a> {
    pub fn new(issuer: &'a Issuer) -> Self {
        Self(issuer)
    }

    /// Asks for the page, with some parameters changed; one that is empty is left out.
    pub async fn asks(&self, changed: &[(&str, &str)]) -> Response {
        let usual = [
            ("response_type", "code"),
            ("client_id", "quadrille-cli"),
            ("redirect_uri", REDIRECT),
            ("scope", "openid email"),
            ("state", "a state & more"),
            ("nonce", "a nonce"),
            ("code_challenge", CHALLENGE),
            ("code_challenge_method", "S256"),
        ];
        let unchanged = usual.iter().filter(|(name, _)| changed.iter().all(|(other, _)| other != name));
        let mut url = Url::parse(&format!("{}/authorize", self.0.url)).unwrap();
        url.query_pairs_mut().extend_pairs(unchanged.chain(changed).filter(|(_, value)| !value.is_empty()));
        self.0.client.get(url).send().await.unwrap()
    }

    pub async fn page(&self) -> Page<'a> {
        Page::of(self.0, self.asks(&[]).await).await
    }

    /// The code that the program is sent.
    pub async fn code(&self, email: &str, password: &str) -> String {
        let led_back = led_back(&self.page().await.sign_in(email, password).await);
        led_back.query_pairs().find(|(name, _)| name == "code").unwrap().1.into_owned()
    }

    pub async fn redeem(&self, code: &str) -> (u16, Value) {
        self.redeem_with(code, &[]).await
    }

    async fn redeem_with(&self, code: &str, changed: &[(&str, &str)]) -> (u16, Value) {
        let usual = [
            ("grant_type", "authorization_code"),
            ("client_id", "quadrille-cli"),
            ("redirect_uri", REDIRECT),
            ("code", code),
            ("code_verifier", VERIFIER),
        ];
        let unchanged = usual.iter().filter(|(name, _)| changed.iter().all(|(other, _)| other != name));
        let form: Vec<_> = unchanged.chain(changed).copied().collect();
        self.0.token(&form).await
    }

    async fn refresh(&self, token: &Value) -> (u16, Value) {
        let token = token.as_str().unwrap();
        let form = [("grant_type", "refresh_token"), ("client_id", "quadrille-cli"), ("refresh_token", token)];
        self.0.token(&form).await
    }
}

/// Where a browser is sent.
fn led_back(response: &Response) -> Url {
    assert_eq!(response.status().as_u16(), 303);
    Url::parse(response.headers()["location"].to_str().unwrap()).unwrap()
}

fn parameter(url: &Url, name: &str) -> Option<String> {
    url.query_pairs().find(|(known, _)| known == name).map(|(_, value)| value.into_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_signs_in_and_the_program_gets_their_tokens() {
    let issuer = Issuer::start().await;
    let flow = Flow::new(&issuer);
    let led_back = led_back(&flow.page().await.sign_in("Ann@Example.com", "sandbox-ann").await);
    assert!(led_back.as_str().starts_with(REDIRECT), "{led_back}");
    assert_eq!(parameter(&led_back, "state").as_deref(), Some("a state & more"));
    assert_eq!(parameter(&led_back, "iss"), Some(issuer.url.clone()));

    let (status, tokens) = flow.redeem(&parameter(&led_back, "code").unwrap()).await;
    assert_eq!((status, &tokens["token_type"], &tokens["expires_in"]), (200, &json!("Bearer"), &json!(600)));
    let access = issuer.claims(&tokens["access_token"]).await;
    assert_eq!(access["sub"], "c-1001");
    assert_eq!((&access["roles"], &access["scope"]), (&json!(["customer"]), &json!("openid email")));
    assert_eq!((&access["email"], &access["name"]), (&json!("ann@example.com"), &json!("Ann")));
    let lasts = access["exp"].as_i64().unwrap() - access["iat"].as_i64().unwrap();
    assert!(lasts == 600 && access["jti"].is_string(), "{access}");

    let (id_token, keys) = (tokens["id_token"].as_str().unwrap(), issuer.jwks().await);
    let id = claims(id_token, &keys, &issuer.url, "quadrille-cli").unwrap();
    assert_eq!((&id["sub"], &id["nonce"]), (&json!("c-1001"), &json!("a nonce")));
    assert!(claims(id_token, &keys, &issuer.url, "quadrille").is_err(), "no service takes an ID token");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_that_comes_twice_is_refused_and_ends_what_it_was_good_for() {
    let issuer = Issuer::start().await;
    let flow = Flow::new(&issuer);
    let code = flow.code("ann@example.com", "sandbox-ann").await;
    let (status, tokens) = flow.redeem(&code).await;
    assert_eq!(status, 200);
    let (status, refused) = flow.redeem(&code).await;
    assert_eq!((status, &refused["error"]), (400, &json!("invalid_grant")));
    let (status, refused) = flow.refresh(&tokens["refresh_token"]).await;
    assert_eq!((status, &refused["error"]), (400, &json!("invalid_grant")));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_that_bring_a_code_at_the_same_time_one_gets_nothing() {
    let issuer = Issuer::start().await;
    let flow = Flow::new(&issuer);
    let code = flow.code("ann@example.com", "sandbox-ann").await;
    let (one, other) = tokio::join!(flow.redeem(&code), flow.redeem(&code));
    let mut statuses = [one.0, other.0];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 400]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_is_good_for_whoever_began_for_a_minute() {
    let issuer = Issuer::start().await;
    let flow = Flow::new(&issuer);
    let code = flow.code("ann@example.com", "sandbox-ann").await;
    let other_verifier = "x".repeat(43);
    for (changed, error) in [
        ([("code_verifier", other_verifier.as_str())], "invalid_grant"),
        ([("code_verifier", "")], "invalid_request"),
        ([("code_verifier", "short")], "invalid_request"),
        ([("redirect_uri", "http://127.0.0.1:1/callback")], "invalid_grant"),
        ([("code", "nobody's")], "invalid_grant"),
    ] {
        let (status, refused) = flow.redeem_with(&code, &changed).await;
        assert_eq!((status, &refused["error"]), (400, &json!(error)), "{changed:?}");
    }
    issuer.wait(61);
    let (status, refused) = flow.redeem(&code).await;
    assert_eq!((status, &refused["error"]), (400, &json!("invalid_grant")));
    assert_eq!(issuer.db.count("sessions").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_sent_to_an_address_that_is_not_registered() {
    let issuer = Issuer::start().await;
    let flow = Flow::new(&issuer);
    for changed in [
        ("redirect_uri", "https://evil.example/callback"),
        ("redirect_uri", "http://127.0.0.1:4321/other"),
        ("redirect_uri", ""),
        ("client_id", "nobody"),
        ("client_id", "warehouse"),
    ] {
        let refused = flow.asks(&[changed]).await;
        assert_eq!((refused.status().as_u16(), refused.headers().get("location")), (400, None), "{changed:?}");
    }
    let twice = flow.asks(&[("state", "one"), ("state", "two")]).await;
    assert_eq!(twice.status().as_u16(), 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_else_is_wrong_is_told_to_the_program() {
    let issuer = Issuer::start().await;
    let flow = Flow::new(&issuer);
    for (changed, error) in [
        (("response_type", "token"), "unsupported_response_type"),
        (("response_type", ""), "invalid_request"),
        (("response_mode", "fragment"), "invalid_request"),
        (("code_challenge", ""), "invalid_request"),
        (("code_challenge", "short"), "invalid_request"),
        (("code_challenge_method", "plain"), "invalid_request"),
        (("code_challenge_method", ""), "invalid_request"),
        (("scope", "openid orders.read"), "invalid_scope"),
        (("nonce", "two\nlines"), "invalid_request"),
        (("prompt", "none"), "login_required"),
        (("request", "a.b.c"), "request_not_supported"),
    ] {
        let led_back = led_back(&flow.asks(&[changed]).await);
        assert_eq!(parameter(&led_back, "error").as_deref(), Some(error), "{changed:?}");
        assert_eq!(parameter(&led_back, "state").as_deref(), Some("a state & more"));
        assert_eq!(parameter(&led_back, "iss"), Some(issuer.url.clone()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_token_is_good_once_and_when_it_comes_again_all_of_them_end() {
    let issuer = Issuer::start().await;
    let flow = Flow::new(&issuer);
    let code = flow.code("ann@example.com", "sandbox-ann").await;
    let (_, first) = flow.redeem(&code).await;
    let (status, second) = flow.refresh(&first["refresh_token"]).await;
    assert_eq!(status, 200);
    assert_eq!(issuer.claims(&second["access_token"]).await["sub"], "c-1001");
    assert_ne!(first["refresh_token"], second["refresh_token"]);
    for spent in [&first, &second] {
        let (status, refused) = flow.refresh(&spent["refresh_token"]).await;
        assert_eq!((status, &refused["error"]), (400, &json!("invalid_grant")));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_can_ask_for_less_when_it_refreshes_and_not_for_more() {
    let issuer = Issuer::start().await;
    let flow = Flow::new(&issuer);
    let code = flow.code("ann@example.com", "sandbox-ann").await;
    let (_, tokens) = flow.redeem(&code).await;
    let refresh = async |scope: &str| {
        let token = tokens["refresh_token"].as_str().unwrap();
        let form = [("grant_type", "refresh_token"), ("client_id", "quadrille-cli"), ("refresh_token", token)];
        issuer.token(&[&form[..], &[("scope", scope)]].concat()).await
    };
    let (status, refused) = refresh("orders.read").await;
    assert_eq!((status, &refused["error"]), (400, &json!("invalid_scope")));
    let (status, narrowed) = refresh("email profile").await;
    assert_eq!((status, &narrowed["scope"]), (200, &json!("email")));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_form_or_says_things_twice_is_refused_and_kept_by_no_cache() {
    let issuer = Issuer::start().await;
    let post = || issuer.client.post(format!("{}/token", issuer.url));
    let (status, refused) = answer(post().json(&json!({"grant_type": "refresh_token"})).send().await.unwrap()).await;
    assert_eq!((status, &refused["error"]), (400, &json!("invalid_request")));
    let (status, refused) = issuer.token(&[("grant_type", "a"), ("grant_type", "b")]).await;
    assert_eq!((status, &refused["error"]), (400, &json!("invalid_request")));
    let other = [("grant_type", "password"), ("client_id", "quadrille-cli")];
    let refused = post().form(&other).send().await.unwrap();
    assert_eq!(refused.headers()["cache-control"], "no-store");
    assert_eq!(answer(refused).await.1["error"], "unsupported_grant_type");
}
