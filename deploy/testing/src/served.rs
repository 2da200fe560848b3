//! A service's HTTP interface on a port of its own.

use std::net::{Ipv4Addr, SocketAddr};

use actix_web::web::ServiceConfig;
use reqwest::{Client, Method, RequestBuilder};
use serde_json::Value;
use service_kit::auth::{Access, Guard, Who, must_match};
use service_kit::config::HttpConfig;
use service_kit::http::{Limits, Readiness, bind};
use service_kit::testing::{ROUTES, example_requests, faults_of, faults_of_examples};
use tokio_util::sync::CancellationToken;

/// Serves until it is dropped.
const NOBODY: &str = "01890a5d-ac96-774b-bcce-b302099a8057";

pub struct Served {
    /// Where it listens, without a path.
    pub root: String,
    /// Where its resources are.
    pub url: String,
    pub client: Client,
    pub stop: CancellationToken,
}

impl Served {
    /// Serves these routes; what the tests ask for is below `path`.
    pub fn start<F>(path: &str, routes: F) -> Self
    where
        F: Fn(&mut ServiceConfig) + Clone + Send + 'static,
    {
        Self::limited(path, Limits::default(), CancellationToken::new(), routes)
    }

    pub fn limited<F>(path: &str, limits: Limits, stop: CancellationToken, routes: F) -> Self
    where
        F: Fn(&mut ServiceConfig) + Clone + Send + 'static,
    {
        Self::guarded(path, Guard::for_everybody(), limits, stop, routes)
    }

    /// Serves them to whom the guard lets in.
    pub fn guarded<F>(path: &str, guard: Guard, limits: Limits, stop: CancellationToken, routes: F) -> Self
    where
        F: Fn(&mut ServiceConfig) + Clone + Send + 'static,
    {
        let listen = HttpConfig { limits, ..SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into() };
        let server = bind("test", listen, Readiness::default(), guard, stop.clone(), routes).unwrap();
        let root = format!("http://127.0.0.1:{}", server.port());
        tokio::spawn(server.run());
        Self { url: format!("{root}{path}"), root, client: Client::new(), stop }
    }

    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.url))
    }

    /// What a GET is answered with: status and body.
    pub async fn read(&self, path: &str) -> (u16, Value) {
        answer(self.request(Method::GET, path)).await
    }

    /// The document at `/openapi.json` tells what the service does, its examples are taken, and `/docs` shows it by
    /// itself. The access table has every route, and no other.
    pub async fn document_is_right(&self, access: Access) {
        let asked = async |path: &str| reqwest::get(format!("{}{path}", self.root)).await.unwrap();
        let document: Value = asked("/openapi.json").await.json().await.unwrap();
        let routes: Value = asked(ROUTES).await.json().await.unwrap();
        assert_eq!(faults_of(&document, &routes), Vec::<String>::new());
        must_match(access, &operations_of(&document)).unwrap();
        assert_eq!(faults_of_examples(&document), Vec::<String>::new());
        for example in example_requests(&document) {
            let (method, url) = (example.method.parse().unwrap(), format!("{}{}", self.root, example.path));
            let request = self.client.request(method, url).json(&example.body);
            let request = example.headers.iter().fold(request, |request, (name, value)| request.header(name, value));
            let answer = request.send().await.unwrap();
            let (status, told) = (answer.status().as_u16(), answer.text().await.unwrap());
            assert!(![400, 415, 422, 428, 500].contains(&status), "{example:?}: {status} {told}");
        }
        let page = asked("/docs").await;
        let allowed = page.headers()["content-security-policy"].to_str().unwrap().to_owned();
        for needed in ["script-src 'unsafe-inline'", "connect-src 'self'", "frame-ancestors 'none'"] {
            assert!(allowed.contains(needed), "{allowed}");
        }
        let page = page.text().await.unwrap();
        assert!(page.contains("openapi.json") && !page.contains("https://"), "the page asks for things from elsewhere");
    }

    /// Whoever has no token gets to nothing that isn't for anybody, however they write its path.
    pub async fn refuses_strangers(&self, access: Access) {
        let closed =
            access.0.iter().filter(|rule| ![Who::Anybody, Who::Visitor].iter().any(|who| rule.who.contains(who)));
        for rule in closed {
            let path = rule.route.replace("{id}", NOBODY).replace("{refund_id}", NOBODY).replace("{sku}", "TEA");
            for path in [path.clone(), path.replacen("/api", "/%61pi", 1), path.replacen("s", "%73", 1)] {
                let request = self.client.request(rule.method.parse().unwrap(), format!("{}{path}", self.root));
                assert_eq!(request.send().await.unwrap().status(), 401, "{} {path}", rule.method);
            }
        }
    }

    /// A problem of this status and, for bad input, the fields that it names.
    pub async fn fields_of_a_problem(&self, path: &str, status: u16) -> Vec<String> {
        let (given, problem) = self.read(path).await;
        assert_eq!((given, &problem["status"]), (status, &Value::from(status)), "{path}: {problem}");
        let errors = problem["errors"].as_array().into_iter().flatten();
        errors.map(|error| error["field"].as_str().unwrap().to_owned()).collect()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// What a request is answered with: status and body.
pub async fn answer(request: RequestBuilder) -> (u16, Value) {
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    (status, serde_json::from_slice(&response.bytes().await.unwrap()).unwrap_or_default())
}

/// Methods and paths, as routers have them.
fn operations_of(document: &Value) -> Vec<(String, String)> {
    let paths = document["paths"].as_object().unwrap();
    let operations = |(path, item): (&String, &Value)| {
        item.as_object().unwrap().keys().map(|method| (method.to_uppercase(), path.clone())).collect::<Vec<_>>()
    };
    paths.iter().flat_map(operations).collect()
}
