//! A service's HTTP interface on a port of its own.

use std::net::{Ipv4Addr, SocketAddr};

use actix_web::web::ServiceConfig;
use reqwest::{Client, Method, RequestBuilder};
use serde_json::Value;
use service_kit::config::HttpConfig;
use service_kit::http::{Limits, Readiness, bind};
use service_kit::testing::{ROUTES, example_requests, faults_of, faults_of_examples};
use tokio_util::sync::CancellationToken;

/// Serves until it is dropped.
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
        let listen = HttpConfig { limits, ..SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into() };
        let server = bind("test", listen, Readiness::default(), stop.clone(), routes).unwrap();
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
    /// itself.
    pub async fn document_is_right(&self) {
        let asked = async |path: &str| reqwest::get(format!("{}{path}", self.root)).await.unwrap();
        let document: Value = asked("/openapi.json").await.json().await.unwrap();
        let routes: Value = asked(ROUTES).await.json().await.unwrap();
        assert_eq!(faults_of(&document, &routes), Vec::<String>::new());
        assert_eq!(faults_of_examples(&document), Vec::<String>::new());
        for example in example_requests(&document) {
            let (method, url) = (example.method.parse().unwrap(), format!("{}{}", self.root, example.path));
            let request = self.client.request(method, url).json(&example.body);
            let request = example.headers.iter().fold(request, |request, (name, value)| request.header(name, value));
            let answer = request.send().await.unwrap();
            let (status, told) = (answer.status().as_u16(), answer.text().await.unwrap());
            assert!(![400, 415, 422, 428, 500].contains(&status), "{example:?}: {status} {told}");
        }
        let page = asked("/docs").await.text().await.unwrap();
        assert!(page.contains("openapi.json") && !page.contains("https://"), "the page asks for things from elsewhere");
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
