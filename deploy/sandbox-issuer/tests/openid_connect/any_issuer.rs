//! What is true of any issuer whose tokens the services take: of this one and of a certified one alike. A program and a
//! service know nothing of it but its URL.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use reqwest::redirect::Policy;
use reqwest::{Client, Response};
use serde_json::{Value, json};
use service_kit::auth::{Keys, Refused, Source, Verifier};
use service_kit::testing::{Running, eventually};
use url::Url;

const REDIRECT: &str = "http://127.0.0.1:4321/callback";
/// The example of RFC 7636, appendix B.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

/// An issuer, somebody whom it knows as `c-1001`, and a service that takes its tokens.
pub struct AnyIssuer {
    client: Client,
    document: Value,
    login: &'static str,
    password: &'static str,
    keys: Arc<Keys>,
    _running: Running<()>,
}

impl AnyIssuer {
    pub async fn at(url: &str, login: &'static str, password: &'static str) -> Self {
        let client = Client::builder().redirect(Policy::none()).build().unwrap();
        let document = client.get(format!("{url}/.well-known/openid-configuration")).send().await.unwrap();
        let keys = Arc::new(Keys::new(Source::Discovery(url.to_owned())).unwrap());
        let running = Arc::clone(&keys);
        let running = Running::start(|stop| async move { running.run(stop).await });
        eventually("its keys are known", Duration::from_secs(20), async || keys.known()).await;
        Self { client, document: document.json().await.unwrap(), login, password, keys, _running: running }
    }

    fn service(&self, audience: &str) -> Verifier {
        let issuer = self.document["issuer"].as_str().unwrap().to_owned();
        Verifier::new(Arc::clone(&self.keys), issuer, audience.to_owned(), "roles".to_owned())
    }

    fn endpoint(&self, name: &str) -> &str {
        self.document[name].as_str().unwrap()
    }

    fn asks(&self, changed: &[(&str, &str)]) -> Url {
        let usual = [
            ("response_type", "code"),
            ("client_id", "quadrille-cli"),
            ("redirect_uri", REDIRECT),
            ("scope", "openid"),
            ("state", "a state"),
            ("nonce", "a nonce"),
            ("code_challenge", CHALLENGE),
            ("code_challenge_method", "S256"),
        ];
        let unchanged = usual.iter().filter(|(name, _)| changed.iter().all(|(other, _)| other != name));
        let mut url = Url::parse(self.endpoint("authorization_endpoint")).unwrap();
        url.query_pairs_mut().extend_pairs(unchanged.chain(changed).filter(|(_, value)| !value.is_empty()));
        url
    }

    /// Follows redirects and fills in forms, as a browser and its person do, until it is led back to the program.
    async fn led_back(&self, mut url: Url) -> Url {
        let (mut cookies, mut form) = (BTreeMap::new(), None);
        for _ in 0..10 {
            let request = match form.take() {
                None => self.client.get(url.clone()),
                Some(form) => self.client.post(url.clone()).form::<Vec<(String, String)>>(&form),
            };
            let cookie: Vec<_> = cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
            let request = if cookie.is_empty() { request } else { request.header("Cookie", cookie.join("; ")) };
            let response = request.send().await.unwrap();
            cookies.extend(set_cookies(&response));
            if response.status().is_redirection() {
                url = url.join(response.headers()["location"].to_str().unwrap()).unwrap();
                if url.as_str().starts_with(REDIRECT) {
                    return url;
                }
                continue;
            }
            let page = response.text().await.unwrap();
            let (_, page) = page.split_once("<form").unwrap_or_else(|| panic!("a page without a form: {page}"));
            url = url.join(&attribute(page, "action").unwrap()).unwrap();
            form = Some(self.filled_in(page));
        }
        panic!("the browser was led nowhere");
    }

    fn filled_in(&self, form: &str) -> Vec<(String, String)> {
        let inputs = form.split("<input ").skip(1).filter_map(|input| {
            let input = input.split('>').next()?;
            let name = attribute(input, "name")?;
            let value = match name.as_str() {
                "email" | "login" => self.login.to_owned(),
                "password" => self.password.to_owned(),
                _ => attribute(input, "value").unwrap_or_default(),
            };
            Some((name, value))
        });
        inputs.collect()
    }

    async fn code(&self) -> String {
        let back = self.led_back(self.asks(&[])).await;
        assert_eq!(parameter(&back, "state").as_deref(), Some("a state"));
        parameter(&back, "code").unwrap_or_else(|| panic!("no code: {back}"))
    }

    async fn token(&self, form: &[(&str, &str)]) -> (u16, Value) {
        let answer = self.client.post(self.endpoint("token_endpoint")).form(form).send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    async fn redeem(&self, code: &str, verifier: &str) -> (u16, Value) {
        let (client, redirect) = (("client_id", "quadrille-cli"), ("redirect_uri", REDIRECT));
        let grant = ("grant_type", "authorization_code");
        self.token(&[grant, client, redirect, ("code", code), ("code_verifier", verifier)]).await
    }

    async fn refresh(&self, tokens: &Value) -> (u16, Value) {
        let token = ("refresh_token", tokens["refresh_token"].as_str().unwrap());
        self.token(&[("grant_type", "refresh_token"), ("client_id", "quadrille-cli"), token]).await
    }

    /// A machine is somebody by itself, with its scopes and no role, and nobody without its secret.
    pub async fn knows_machines(&self) {
        let ask = async |secret: &str| {
            let form = [("grant_type", "client_credentials"), ("scope", "orders.read")];
            let request =
                self.client.post(self.endpoint("token_endpoint")).form(&form).basic_auth("shop", Some(secret));
            let answer = request.send().await.unwrap();
            (answer.status().as_u16(), answer.json::<Value>().await.unwrap())
        };
        let (status, tokens) = ask("sandbox-shop").await;
        assert_eq!(status, 200, "{tokens}");
        let token = tokens["access_token"].as_str().unwrap();
        let known = self.service("quadrille").check(token).await.unwrap();
        assert_eq!((known.sub.as_str(), known.scopes), ("shop", vec!["orders.read".to_owned()]));
        assert_eq!(known.roles, Vec::<String>::new());
        assert_eq!(self.service("another").check(token).await, Err(Refused::ForOthers));
        let (status, refused) = ask("wrong").await;
        assert_eq!((status, &refused["error"]), (401, &json!("invalid_client")));
    }

    /// Somebody signs in, the program refreshes, and when a refresh token comes again all of them end.
    pub async fn signs_people_in(&self) {
        let (status, first) = self.redeem(&self.code().await, VERIFIER).await;
        assert_eq!(status, 200, "{first}");
        let (status, second) = self.refresh(&first).await;
        assert_eq!(status, 200, "{second}");
        for tokens in [&first, &second] {
            let known = self.service("quadrille").check(tokens["access_token"].as_str().unwrap()).await.unwrap();
            assert_eq!((known.sub.as_str(), known.roles), ("c-1001", vec!["customer".to_owned()]));
        }
        let id_token = first["id_token"].as_str().unwrap();
        assert!(self.service("quadrille").check(id_token).await.is_err(), "an ID token is for the program alone");
        for spent in [&first, &second] {
            let (status, refused) = self.refresh(spent).await;
            assert_eq!((status, &refused["error"]), (400, &json!("invalid_grant")));
        }
    }

    /// A code is good once, for whoever began, and nobody is sent to an address that is not registered.
    pub async fn guards_codes(&self) {
        let code = self.code().await;
        let (status, refused) = self.redeem(&code, &"x".repeat(43)).await;
        assert_eq!((status, &refused["error"]), (400, &json!("invalid_grant")));
        let code = self.code().await;
        let (status, tokens) = self.redeem(&code, VERIFIER).await;
        assert_eq!(status, 200, "{tokens}");
        let (status, refused) = self.redeem(&code, VERIFIER).await;
        assert_eq!((status, &refused["error"]), (400, &json!("invalid_grant")));
        assert_eq!(self.refresh(&tokens).await.0, 400, "what the code was good for has ended");

        let back = self.led_back(self.asks(&[("code_challenge", ""), ("code_challenge_method", "")])).await;
        assert_eq!(parameter(&back, "error").as_deref(), Some("invalid_request"), "{back}");
        let elsewhere = self.asks(&[("redirect_uri", "https://evil.example/callback")]);
        let refused = self.client.get(elsewhere).send().await.unwrap();
        assert_eq!((refused.status().as_u16(), refused.headers().get("location")), (400, None));
    }
}

fn set_cookies(response: &Response) -> Vec<(String, String)> {
    let headers = response.headers().get_all("set-cookie").iter();
    let cookies = headers.filter_map(|cookie| cookie.to_str().ok()?.split(';').next()?.split_once('='));
    cookies.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

fn parameter(url: &Url, name: &str) -> Option<String> {
    url.query_pairs().find(|(known, _)| known == name).map(|(_, value)| value.into_owned())
}

/// An attribute of the tag that the text begins in.
fn attribute(text: &str, name: &str) -> Option<String> {
    let (_, value) = text.split('>').next()?.split_once(&format!("{name}=\""))?;
    let value = value.split('"').next()?;
    Some(value.replace("&#x2f;", "/").replace("&amp;", "&"))
}
