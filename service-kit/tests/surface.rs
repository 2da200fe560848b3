//! What a service's HTTP server lets in, and what it tells browsers, over a real connection.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use actix_web::web::{self, Data, ServiceConfig};
use actix_web::{HttpResponse, Responder};
use futures_util::StreamExt;
use reqwest::{Client, Method, Response};
use serde_json::Value;
use service_kit::auth::Guard;
use service_kit::config::HttpConfig;
use service_kit::http::{EmptyBody, Limits, RateLimited, Readiness, bind};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

const DEADLINE: Duration = Duration::from_secs(20);

/// How often a handler that changes something has run.
type Changes = Arc<AtomicUsize>;

async fn change(changes: Data<Changes>, _: EmptyBody) -> impl Responder {
    changes.fetch_add(1, Ordering::SeqCst);
    HttpResponse::Ok().insert_header(("etag", "\"1\"")).finish()
}

async fn order(_: RateLimited) -> impl Responder {
    HttpResponse::Accepted().finish()
}

async fn catalogue() -> impl Responder {
    HttpResponse::Ok().insert_header(("cache-control", "no-cache")).json(["a"])
}

async fn stuck() -> HttpResponse {
    std::future::pending().await
}

/// Says one thing, and never ends.
async fn stream() -> impl Responder {
    let first = futures_util::stream::iter([Ok::<_, std::convert::Infallible>(web::Bytes::from_static(b"first"))]);
    HttpResponse::Ok().streaming(first.chain(futures_util::stream::pending()))
}

struct Running {
    base: String,
    ops: Option<String>,
    changes: Changes,
    stop: CancellationToken,
}

impl Running {
    fn start(change_config: impl FnOnce(&mut HttpConfig)) -> Self {
        let mut listen = HttpConfig::from(SocketAddr::from(([127, 0, 0, 1], 0)));
        change_config(&mut listen);
        let (changes, stop) = (Changes::default(), CancellationToken::new());
        let counted = changes.clone();
        let routes = move |config: &mut ServiceConfig| {
            config
                .app_data(Data::new(counted.clone()))
                .service(web::resource("/api/change").post(change).get(catalogue))
                .service(web::resource("/api/orders").post(order))
                .service(web::resource("/api/stream").get(stream))
                .service(web::resource("/api/stuck").get(stuck));
        };
        let server = bind("test", listen, Readiness::default(), Guard::for_everybody(), stop.clone(), routes).unwrap();
        let base = format!("http://127.0.0.1:{}", server.port());
        let ops = server.ops_port().map(|port| format!("http://127.0.0.1:{port}"));
        tokio::spawn(server.run());
        Self { base, ops, changes, stop }
    }

    async fn send(&self, method: Method, path: &str, headers: &[(&str, &str)]) -> Response {
        let request = Client::new().request(method, format!("{}{path}", self.base));
        headers.iter().fold(request, |request, (name, value)| request.header(*name, *value)).send().await.unwrap()
    }

    async fn refused(&self, headers: &[(&str, &str)]) -> (u16, String) {
        let answer = self.send(Method::POST, "/api/change", headers).await;
        assert_eq!(answer.headers()["content-type"], "application/problem+json", "{headers:?}");
        let status = answer.status().as_u16();
        let problem: Value = answer.json().await.unwrap();
        assert_eq!((&problem["instance"], &problem["status"]), (&Value::from("/api/change"), &Value::from(status)));
        (status, problem["code"].as_str().unwrap().to_owned())
    }

    fn changes(&self) -> usize {
        self.changes.load(Ordering::SeqCst)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_for_another_host_is_refused_and_operators_are_answered_under_any_name() {
    let server = Running::start(|_| {});
    for host in ["evil.example", "evil.example:8080", "localhost.evil.example"] {
        assert_eq!(server.refused(&[("host", host)]).await, (421, "misdirected".to_owned()), "{host}");
        assert_eq!(server.send(Method::GET, "/api/change", &[("host", host)]).await.status(), 421, "{host}");
        for path in ["/healthz", "/readyz", "/metrics"] {
            assert_eq!(server.send(Method::GET, path, &[("host", host)]).await.status(), 200, "{path}");
        }
    }
    assert_eq!(server.changes(), 0);
    for host in ["localhost", "127.0.0.1:1", "[::1]:8080"] {
        assert_eq!(server.send(Method::POST, "/api/change", &[("host", host)]).await.status(), 200, "{host}");
    }
    let named = Running::start(|listen| listen.allowed_hosts = "shop.example".parse().unwrap());
    assert_eq!(named.send(Method::POST, "/api/change", &[("host", "shop.example")]).await.status(), 200);
    assert_eq!(named.send(Method::POST, "/api/change", &[]).await.status(), 421);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_another_site_changes_nothing_and_one_that_is_named_may() {
    let (evil, shop) = ("https://evil.example", "https://shop.example");
    let server = Running::start(|listen| listen.origins = shop.parse().unwrap());
    for headers in [&[("origin", evil)][..], &[("origin", "null")], &[("sec-fetch-site", "cross-site")]] {
        assert_eq!(server.refused(headers).await, (403, "cross_site".to_owned()), "{headers:?}");
    }
    assert_eq!(server.changes(), 0);
    let own = server.base.clone();
    for headers in [&[][..], &[("origin", own.as_str())], &[("origin", shop), ("sec-fetch-site", "cross-site")]] {
        assert_eq!(server.send(Method::POST, "/api/change", headers).await.status(), 200, "{headers:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_is_told_which_pages_may_read_an_answer_and_send_a_request() {
    let (evil, shop) = ("https://evil.example", "https://shop.example");
    let server = Running::start(|listen| listen.origins = format!("{shop},http://localhost:5173").parse().unwrap());
    let asks = ("access-control-request-method", "POST");
    for (origin, is_known) in [(shop, true), ("http://localhost:5173", true), (evil, false), ("null", false)] {
        let preflight = server.send(Method::OPTIONS, "/api/change", &[("origin", origin), asks]).await;
        let read = server.send(Method::GET, "/api/change", &[("origin", origin)]).await;
        let missing = server.send(Method::GET, "/api/nothing", &[("origin", origin)]).await;
        assert_eq!(
            [preflight.status(), read.status(), missing.status()].map(|status| status.as_u16()),
            [204, 200, 404]
        );
        for answer in [&preflight, &read, &missing] {
            let headers = answer.headers();
            let allowed = headers.get("access-control-allow-origin").map(|value| value.to_str().unwrap());
            assert_eq!(allowed, is_known.then_some(origin), "{headers:?}");
            assert_eq!(headers.contains_key("access-control-expose-headers"), is_known);
            assert!(!headers.contains_key("access-control-allow-credentials"));
            assert!(headers.get_all("vary").iter().any(|vary| vary == "origin"), "{headers:?}");
        }
        assert_eq!(preflight.headers().contains_key("access-control-allow-methods"), is_known, "{origin}");
        assert_eq!(preflight.headers().contains_key("access-control-allow-headers"), is_known, "{origin}");
    }
    let server = Running::start(|_| {});
    let preflight = server.send(Method::OPTIONS, "/api/change", &[("origin", shop), asks]).await;
    assert!(preflight.headers().keys().all(|name| !name.as_str().starts_with("access-control")));
    assert!(!preflight.headers().contains_key("vary"));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_tells_browsers_to_be_careful_and_what_is_somebodys_is_not_kept() {
    let server = Running::start(|listen| listen.answer_within = Duration::from_millis(200));
    for (method, path, headers, status, kept) in [
        (Method::GET, "/api/change", &[][..], 200, "no-cache"),
        (Method::HEAD, "/api/change", &[], 200, "no-cache"),
        (Method::POST, "/api/change", &[], 200, "no-store"),
        (Method::POST, "/api/change", &[("content-type", "text/plain")], 415, "no-store"),
        (Method::POST, "/api/change", &[("host", "evil.example")], 421, "no-store"),
        (Method::DELETE, "/api/change", &[], 405, "no-store"),
        (Method::OPTIONS, "/api/change", &[], 204, "no-store"),
        (Method::GET, "/api/stuck", &[], 503, "no-store"),
        (Method::GET, "/nothing", &[], 404, "no-store"),
        (Method::GET, "/healthz", &[], 200, ""),
    ] {
        let answer = server.send(method.clone(), path, headers).await;
        let told = |name: &str| answer.headers().get(name).map_or("", |value| value.to_str().unwrap());
        assert_eq!(answer.status(), status, "{method} {path}");
        assert_eq!(told("x-content-type-options"), "nosniff", "{method} {path}");
        assert_eq!(told("referrer-policy"), "no-referrer", "{method} {path}");
        assert_eq!(told("content-security-policy"), "default-src 'none'; frame-ancestors 'none'", "{method} {path}");
        assert_eq!(told("cache-control"), kept, "{method} {path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_too_often_for_what_costs_money_is_told_when_to_come_back_and_others_are_served() {
    let limit = |listen: &mut HttpConfig| listen.rate_limit.per_minute = NonZeroU32::new(2);
    let server = Running::start(limit);
    let asked = async |server: &Running, client: &str| {
        server.send(Method::POST, "/api/orders", &[("x-forwarded-for", client)]).await
    };
    for client in ["198.51.100.1", "198.51.100.2"] {
        assert_eq!(asked(&server, client).await.status(), 202);
    }
    let refused = asked(&server, "198.51.100.3").await;
    assert_eq!(refused.status(), 429, "anybody may write what a proxy would");
    let seconds: u32 = refused.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=60).contains(&seconds), "{seconds}");
    assert_eq!(refused.json::<Value>().await.unwrap()["code"], "too_many_requests");
    assert_eq!(server.send(Method::POST, "/api/change", &[]).await.status(), 200, "it costs nothing");

    let behind_a_proxy = Running::start(|listen| {
        limit(listen);
        listen.rate_limit.proxies = "127.0.0.0/8".parse().unwrap();
    });
    for (client, status) in [("198.51.100.1", 202), ("198.51.100.1", 202), ("198.51.100.1", 429), ("198.51.100.2", 202)]
    {
        assert_eq!(asked(&behind_a_proxy, client).await.status(), status, "{client}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn on_loopback_nothing_is_limited_unless_it_is_said() {
    let server = Running::start(|_| {});
    for _ in 0..20 {
        assert_eq!(server.send(Method::POST, "/api/orders", &[]).await.status(), 202);
    }
    let elsewhere = HttpConfig::from(SocketAddr::from(([0, 0, 0, 0], 0)));
    assert_eq!(elsewhere.rate_limit.per_minute, NonZeroU32::new(600));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_does_not_arrive_in_time_is_408_and_its_connection_ends() {
    let limits = Limits { head_time: Duration::from_millis(200), ..Limits::default() };
    let server = Running::start(|listen| listen.limits = limits);
    let mut client = TcpStream::connect(server.base.trim_start_matches("http://")).await.unwrap();
    client.write_all(b"GET /healthz HTTP/1.1\r\nhost: local").await.unwrap();
    let mut answer = String::new();
    tokio::time::timeout(DEADLINE, client.read_to_string(&mut answer)).await.unwrap().unwrap();
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
}

/// Sends this and reads on until something ends with `end`.
async fn exchange(client: &mut TcpStream, sent: &str, end: &str) -> String {
    client.write_all(sent.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(end.as_bytes()) {
        let read = tokio::time::timeout(DEADLINE, client.read_buf(&mut answer)).await.unwrap().unwrap();
        assert!(read > 0, "{}", String::from_utf8_lossy(&answer));
    }
    String::from_utf8(answer).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_further_head_that_does_not_arrive_in_time_ends_its_connection_and_no_stream() {
    let limits = Limits { next_time: Duration::from_millis(300), ..Limits::default() };
    let server = Running::start(|listen| listen.limits = limits);
    let connect = async || TcpStream::connect(server.base.trim_start_matches("http://")).await.unwrap();
    let (mut slow, mut reader) = (connect().await, connect().await);
    let stream = exchange(&mut reader, "GET /api/stream HTTP/1.1\r\nhost: localhost\r\n\r\n", "first\r\n").await;
    assert!(stream.starts_with("HTTP/1.1 200 "), "{stream}");
    let healthz = "GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n";
    for _ in 0..2 {
        let answer = exchange(&mut slow, healthz, "}\n").await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    }
    slow.write_all(b"GET /healthz HTTP/1.1\r\nhost: local").await.unwrap();
    let ended = tokio::time::timeout(DEADLINE, slow.read(&mut [0; 1])).await.expect("the connection stays");
    assert!(ended.is_err() || ended.is_ok_and(|read| read == 0));
    let nothing = reader.try_read(&mut [0; 1]).unwrap_err();
    assert_eq!(nothing.kind(), std::io::ErrorKind::WouldBlock, "a stream was ended");
}

#[tokio::test(flavor = "multi_thread")]
async fn operators_with_an_address_of_their_own_are_answered_there_and_the_public_is_not() {
    let server = Running::start(|listen| listen.ops = Some(SocketAddr::from(([127, 0, 0, 1], 0))));
    let (public, ops) = (server.base.as_str(), server.ops.as_deref().unwrap());
    for (base, path, status) in [
        (public, "/healthz", 200),
        (public, "/readyz", 404),
        (public, "/metrics", 404),
        (public, "/api/change", 200),
        (ops, "/healthz", 200),
        (ops, "/readyz", 200),
        (ops, "/metrics", 200),
        (ops, "/api/change", 404),
    ] {
        assert_eq!(reqwest::get(format!("{base}{path}")).await.unwrap().status(), status, "{base}{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operators_address_that_is_taken_is_named_with_its_variable() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let ops = Some(taken.local_addr().unwrap());
    let listen = HttpConfig { ops, ..SocketAddr::from(([127, 0, 0, 1], 0)).into() };
    let bound = bind("test", listen, Readiness::default(), Guard::for_everybody(), CancellationToken::new(), |_| {});
    let told = bound.err().map(|error| format!("{error:#}")).unwrap();
    assert!(told.contains("OPS_ADDR"), "{told}");
}
