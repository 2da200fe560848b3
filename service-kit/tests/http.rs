//! What a client sees when it sends nonsense, over a real connection.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use actix_web::web::{self, ServiceConfig};
use actix_web::{HttpResponse, Responder};
use futures_util::future::select;
use reqwest::{Client, Method, Response};
use serde::Deserialize;
use serde_json::{Value, json};
use service_kit::auth::Guard;
use service_kit::config::HttpConfig;
use service_kit::http::{EmptyBody, IdempotencyKey, Json, Limits, Page, Path, Problem, Query, Readiness, bind};
use service_kit::testing::eventually;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

const DEADLINE: Duration = Duration::from_secs(20);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only whether it can be read counts")]
struct Thing {
    name: String,
    parts: Vec<Part>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only whether it can be read counts")]
struct Part {
    count: u8,
}

async fn make(_: Json<Thing>) -> impl Responder {
    HttpResponse::Created().finish()
}

async fn act(_: EmptyBody) -> impl Responder {
    HttpResponse::Accepted().finish()
}

async fn one(Path(id): Path<Uuid>) -> Result<HttpResponse, Problem> {
    Err(Problem::not_found(format!("There is no thing {id}.")))
}

async fn list(Query(page): Query<Page<Uuid>>) -> Result<HttpResponse, Problem> {
    Ok(HttpResponse::Ok().json(page.parts().0))
}

async fn keyed(key: IdempotencyKey) -> impl Responder {
    HttpResponse::Ok().body(key.0)
}

/// Never ends, as with a database that stands still.
async fn stuck() -> HttpResponse {
    std::future::pending().await
}

static HELD: AtomicUsize = AtomicUsize::new(0);

/// Counts, and never ends.
async fn held() -> HttpResponse {
    HELD.fetch_add(1, Ordering::SeqCst);
    std::future::pending().await
}

static BEGUN: AtomicBool = AtomicBool::new(false);
static ENDED: AtomicBool = AtomicBool::new(false);
static GO_ON: AtomicBool = AtomicBool::new(false);

/// Begins, waits until it may go on, ends.
async fn slow() -> impl Responder {
    BEGUN.store(true, Ordering::SeqCst);
    eventually("it may go on", DEADLINE, || async { GO_ON.load(Ordering::SeqCst) }).await;
    ENDED.store(true, Ordering::SeqCst);
    HttpResponse::Ok().finish()
}

async fn long() -> impl Responder {
    HttpResponse::Ok().json(vec!["the same again"; 1_000])
}

/// Never ends.
async fn stream() -> impl Responder {
    let silence = futures_util::stream::pending::<Result<web::Bytes, std::convert::Infallible>>();
    HttpResponse::Ok().content_type("text/event-stream").streaming(silence)
}

fn routes(config: &mut ServiceConfig) {
    config
        .route("/things", web::post().to(make))
        .service(web::resource("/list").route(web::get().to(list)))
        .route("/things/{id}", web::get().to(one))
        .route("/act", web::post().to(act))
        .route("/keyed", web::post().to(keyed))
        .route("/slow", web::post().to(slow))
        .service(web::resource("/long").get(long))
        .service(web::resource("/stream").get(stream))
        .route("/held", web::get().to(held))
        .route("/stuck", web::get().to(stuck));
}

struct Running {
    base: String,
    stop: CancellationToken,
}

impl Running {
    fn start(ready: Readiness) -> Self {
        Self::limited(ready, Limits::default())
    }

    fn limited(ready: Readiness, limits: Limits) -> Self {
        Self::listening(HttpConfig { limits, ..std::net::SocketAddr::from(([127, 0, 0, 1], 0)).into() }, ready)
    }

    fn listening(listen: HttpConfig, ready: Readiness) -> Self {
        let stop = CancellationToken::new();
        let server = bind("test", listen, ready, Guard::for_everybody(), stop.clone(), routes).unwrap();
        let base = format!("http://127.0.0.1:{}", server.port());
        tokio::spawn(server.run());
        Self { base, stop }
    }

    async fn send(&self, method: Method, path: &str, body: impl Into<reqwest::Body>) -> Response {
        let request = Client::new().request(method, format!("{}{path}", self.base));
        request.header("content-type", "application/json").body(body).send().await.unwrap()
    }

    async fn problem(&self, method: Method, path: &str, body: impl Into<reqwest::Body>) -> (u16, Value) {
        let response = self.send(method, path, body).await;
        assert_eq!(response.headers()["content-type"], "application/problem+json");
        let status = response.status().as_u16();
        let problem: Value = response.json().await.unwrap();
        assert_eq!(problem["status"], status);
        assert!(path.starts_with(problem["instance"].as_str().unwrap()), "{problem}");
        (status, problem)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_takes_too_long_is_given_up_and_the_client_told_to_come_back() {
    let listen = HttpConfig::from(std::net::SocketAddr::from(([127, 0, 0, 1], 0)));
    let server =
        Running::listening(HttpConfig { answer_within: Duration::from_millis(200), ..listen }, Readiness::default());
    let asked = server.send(Method::GET, "/stuck", "");
    let response = tokio::time::timeout(DEADLINE, asked).await.expect("the request hangs with its handler");
    assert_eq!((response.status().as_u16(), response.headers().contains_key("retry-after")), (503, true));
    let (_, problem) = server.problem(Method::GET, "/stuck", "").await;
    assert_eq!(problem["instance"], "/stuck");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_field_of_the_wrong_kind_is_named_with_its_path() {
    let server = Running::start(Readiness::default());
    for (body, field) in [
        (json!({"name": "a", "parts": [{"count": 1}, {"count": 300}]}), "parts[1].count"),
        (json!({"name": 7, "parts": []}), "name"),
        (json!({"name": "a", "parts": [], "extra": 1}), "extra"),
        (json!({"parts": []}), "name"),
        (json!({"name": "a", "parts": [{}]}), "parts[0].count"),
        (json!([]), "body"),
        (json!(["a", []]), "body"),
        (json!({"name": "a", "parts": [[1]]}), "parts[0]"),
    ] {
        let (status, problem) = server.problem(Method::POST, "/things", body.to_string()).await;
        assert_eq!((status, problem["errors"][0]["field"].as_str()), (422, Some(field)), "{problem}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_json_answer_ends_with_one_newline_and_says_its_length() {
    let server = Running::start(Readiness::default());
    for path in ["/healthz", "/readyz", "/nothing/here"] {
        let response = server.send(Method::GET, path, "").await;
        let length = response.content_length();
        let body = response.text().await.unwrap();
        assert!(body.ends_with("}\n") && !body.ends_with("\n\n"), "{path}: {body:?}");
        assert_eq!(length, Some(body.len() as u64), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_that_nothing_can_hold_is_named_with_its_field() {
    let server = Running::start(Readiness::default());
    for number in ["1e999".to_owned(), "-1e999".to_owned(), "9".repeat(400), "9".repeat(30), "1.5".to_owned()] {
        let body = format!(r#"{{"name": "a", "parts": [{{"count": {number}}}]}}"#);
        let (status, problem) = server.problem(Method::POST, "/things", body).await;
        assert_eq!((status, problem["errors"][0]["field"].as_str()), (422, Some("parts[0].count")), "{problem}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_json_or_too_large_or_of_another_type_is_told_apart() {
    let server = Running::start(Readiness::default());
    assert_eq!(server.problem(Method::POST, "/things", "{\"name\": ").await.0, 400);
    assert_eq!(server.problem(Method::POST, "/things", "").await.0, 400);
    assert_eq!(server.problem(Method::POST, "/things", "{\"name\": \"a\", \"parts\": []} more").await.0, 400);
    assert_eq!(server.problem(Method::POST, "/things", " ".repeat(300 * 1024)).await.0, 413);
    let thing = json!({"name": "a", "parts": []}).to_string();
    for (kind, status) in [
        (Some("application/json"), 201),
        (Some("Application/JSON; charset=utf-8"), 201),
        (Some("application/merge-patch+json"), 415),
        (Some("text/plain"), 415),
        (Some("application/x-www-form-urlencoded"), 415),
        (Some("application/json, text/plain"), 415),
        (Some(""), 415),
        (None, 415),
    ] {
        assert_eq!(of_type(&server, "/things", kind, &thing).await, status, "{kind:?}");
    }
}

/// The status of the answer to a body of this content type.
async fn of_type(server: &Running, path: &str, kind: Option<&str>, body: &str) -> u16 {
    let request = Client::new().post(format!("{}{path}", server.base)).body(body.to_owned());
    let request = kind.into_iter().fold(request, |request, kind| request.header("content-type", kind));
    request.send().await.unwrap().status().as_u16()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_action_is_asked_for_by_json_or_without_a_body_and_never_by_a_form() {
    let server = Running::start(Readiness::default());
    for (kind, body, status) in [
        (None, "", 202),
        (Some("application/json"), "", 202),
        (Some("application/octet-stream"), "", 202),
        (Some("application/json"), "{}", 202),
        (None, "{}", 415),
        (Some("application/octet-stream"), "{}", 415),
        (Some("text/plain"), "{}", 415),
        (Some("text/plain;charset=UTF-8"), "", 415),
        (Some("application/x-www-form-urlencoded"), "", 415),
        (Some("multipart/form-data; boundary=x"), "", 415),
    ] {
        assert_eq!(of_type(&server, "/act", kind, body).await, status, "{kind:?} {body:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_places_and_methods_answer_with_a_problem_too() {
    let server = Running::start(Readiness::default());
    assert_eq!(server.problem(Method::GET, "/nowhere", "").await.0, 404);
    assert_eq!(server.problem(Method::GET, "/things/not-an-id", "").await.0, 404);
    assert_eq!(server.problem(Method::GET, &format!("/things/{}", Uuid::now_v7()), "").await.0, 404);
    assert_eq!(server.problem(Method::DELETE, "/list", "").await.0, 405);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_out_of_range_and_a_key_that_is_none_are_refused() {
    let server = Running::start(Readiness::default());
    for limit in ["0", "1001", "-1", "many", "99999999999999999999"] {
        let (status, problem) = server.problem(Method::GET, &format!("/list?limit={limit}"), "").await;
        assert_eq!((status, problem["errors"][0]["field"].as_str()), (422, Some("limit")));
    }
    assert_eq!(server.send(Method::GET, "/list", "").await.text().await.unwrap(), "50\n");
    assert_eq!(server.problem(Method::POST, "/keyed", "").await.0, 422);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_action_without_fields_takes_no_body_or_an_empty_object() {
    let server = Running::start(Readiness::default());
    assert_eq!(server.send(Method::POST, "/act", "").await.status(), 202);
    assert_eq!(server.send(Method::POST, "/act", "{}").await.status(), 202);
    assert_eq!(server.problem(Method::POST, "/act", "{\"a\": 1}").await.0, 422);
    assert_eq!(server.problem(Method::POST, "/act", "[]").await.0, 422);
    assert_eq!(server.problem(Method::POST, "/act", "nonsense").await.0, 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn readiness_says_what_is_failing() {
    let well = Arc::new(AtomicBool::new(false));
    let asked = well.clone();
    let ready = Readiness::default().and("database", || async { true }).and("broker", move || {
        let well = asked.load(Ordering::SeqCst);
        async move { well }
    });
    let server = Running::start(ready);
    let answer = server.send(Method::GET, "/readyz", "").await;
    assert_eq!(answer.status(), 503);
    let answer: Value = answer.json().await.unwrap();
    assert_eq!(answer["checks"], json!({"database": "ok", "broker": "failing"}));
    well.store(true, Ordering::SeqCst);
    assert_eq!(server.send(Method::GET, "/readyz", "").await.status(), 200);
    assert_eq!(server.send(Method::GET, "/healthz", "").await.status(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_that_can_not_do_its_job_makes_the_service_degraded_and_leaves_it_ready() {
    let well = Arc::new(AtomicBool::new(true));
    let asked = well.clone();
    let ready = Readiness::default().and("database", move || std::future::ready(asked.load(Ordering::SeqCst)));
    let ready = ready.and_able("gateway", || std::future::ready(Err("away since noon".to_owned())));
    let server = Running::start(ready);
    for (is_well, status, said) in [(true, 200, "degraded"), (false, 503, "not ready")] {
        well.store(is_well, Ordering::SeqCst);
        let answer = server.send(Method::GET, "/readyz", "").await;
        assert_eq!(answer.status(), status);
        let answer: Value = answer.json().await.unwrap();
        assert_eq!((&answer["status"], &answer["checks"]["gateway"]), (&json!(said), &json!("away since noon")));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_has_begun_is_carried_to_its_end_when_the_client_goes_away() {
    let server = Running::start(Readiness::default());
    let mut client = TcpStream::connect(server.base.trim_start_matches("http://")).await.unwrap();
    client.write_all(b"POST /slow HTTP/1.1\r\nhost: localhost\r\ncontent-length: 0\r\n\r\n").await.unwrap();
    eventually("it has begun", DEADLINE, || async { BEGUN.load(Ordering::SeqCst) }).await;
    client.set_zero_linger().unwrap(); // a reset, as when the client's process is killed; actix waits out a mere close
    drop(client);
    // each of the two workers has seen the reset once it has answered somebody who came later
    for _ in 0..4 {
        assert_eq!(server.send(Method::GET, "/healthz", "").await.status(), 200);
    }
    GO_ON.store(true, Ordering::SeqCst);
    eventually("it has ended", DEADLINE, || async { ENDED.load(Ordering::SeqCst) }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_ask_and_go_away_again_and_again_have_no_more_done_than_those_that_stay() {
    let limits = Limits { connections: 2, ..Limits::default() };
    let server = Running::limited(Readiness::default(), limits);
    let mut asked = 0;
    let refused = async || server.send(Method::GET, "/list", "").await.status() == 503;
    while asked < 20 && !refused().await {
        let mut client = TcpStream::connect(server.base.trim_start_matches("http://")).await.unwrap();
        client.write_all(b"GET /held HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
        asked += 1;
        eventually("it has begun", DEADLINE, async || AtomicUsize::load(&HELD, Ordering::SeqCst) == asked).await;
        client.set_zero_linger().unwrap();
        drop(client);
    }
    assert!(asked < 20, "{asked} are under way on two connections");
    assert_eq!(server.send(Method::GET, "/healthz", "").await.status(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_taken_port_is_named_with_its_variable() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = taken.local_addr().unwrap();
    let told =
        match bind("tea-svc", addr, Readiness::default(), Guard::for_everybody(), CancellationToken::new(), routes) {
            Ok(_) => panic!("it bound a port that is taken"),
            Err(error) => format!("{error:#}"),
        };
    assert!(told.contains("HTTP_ADDR") && told.contains(&addr.to_string()), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_method_that_is_not_possible_is_told_which_are_on_health_and_metrics_too() {
    let server = Running::start(Readiness::default());
    for path in ["/list", "/healthz", "/readyz", "/metrics"] {
        for method in [Method::TRACE, Method::DELETE] {
            let answer = server.send(method, path, "").await;
            assert_eq!(answer.status().as_u16(), 405, "{path}");
            assert_eq!(answer.headers()["allow"], "GET, HEAD, OPTIONS", "{path}");
            assert_eq!(answer.headers()["content-type"], "application/problem+json", "{path}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn all_that_is_wrong_with_what_a_list_is_asked_for_is_told_at_once() {
    let server = Running::start(Readiness::default());
    let (status, problem) = server.problem(Method::GET, "/list?limit=0&cursor=x&order=new", "").await;
    let mut errors = problem["errors"].as_array().unwrap().clone();
    errors.sort_by_key(|error| error["field"].to_string());
    let told: Vec<_> = errors.iter().map(|error| (&error["field"], &error["code"])).collect();
    let invalid = json!("invalid");
    let expected =
        [(&json!("cursor"), &invalid), (&json!("limit"), &invalid), (&json!("order"), &json!("unknown_field"))];
    assert_eq!((status, told), (422, expected.to_vec()));
    assert_eq!(errors[0]["message"], "it is not one that a list has given as next_cursor");
    assert_eq!(errors[1]["message"], "\"0\" is not a whole number from 1 to 1000");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_is_asked_for_nothing_but_a_limit_and_a_cursor() {
    let server = Running::start(Readiness::default());
    let (status, problem) = server.problem(Method::GET, "/list?limits=1", "").await;
    assert_eq!((status, &problem["errors"][0]["field"]), (422, &json!("limits")));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_json_is_400_even_where_an_unknown_field_comes_first() {
    let server = Running::start(Readiness::default());
    for body in ["{\"extra\": 1, \"name\": ", "{\"extra\": 1} {", "{\"name\": 7, \"parts\": [}", "{\"name\": 'a'}"] {
        let (status, problem) = server.problem(Method::POST, "/things", body).await;
        assert_eq!((status, &problem["code"]), (400, &json!("malformed")), "{problem}");
    }
    assert_eq!(server.problem(Method::POST, "/things", vec![b'"', 0xff, b'"']).await.0, 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn all_wrong_fields_are_told_at_once_with_a_code_each_and_in_no_words_of_ours() {
    let server = Running::start(Readiness::default());
    let body = json!({"name": 7, "parts": [{"count": 300}, {"count": 1.5, "x": 1}, {}, [1]], "extra": 1});
    let (_, problem) = server.problem(Method::POST, "/things", body.to_string()).await;
    let told = problem["errors"].as_array().unwrap().iter();
    let told: Vec<_> = told.map(|error| [&error["field"], &error["code"]].map(|text| text.as_str().unwrap())).collect();
    let expected = [
        ["extra", "unknown_field"],
        ["name", "invalid"],
        ["parts[0].count", "invalid"],
        ["parts[1].x", "unknown_field"],
        ["parts[1].count", "invalid"],
        ["parts[2].count", "missing"],
        ["parts[3]", "invalid"],
    ];
    assert_eq!((told, &problem["code"]), (expected.to_vec(), &json!("bad_input")));
    let text = problem.to_string();
    let ours = ["struct", "u8", "`", "serde", "Thing", "sequence", "a map", "integer", "floating", "unit"];
    assert!(ours.iter().all(|word| !text.contains(word)), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_keys_in_one_request_are_refused_whichever_comes_first() {
    let server = Running::start(Readiness::default());
    for keys in [["a", "b"], ["b", "a"], ["a", "a"]] {
        let request = Client::new().post(format!("{}/keyed", server.base));
        let request = keys.iter().fold(request, |request, key| request.header("Idempotency-Key", *key));
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), 422);
        let problem: Value = answer.json().await.unwrap();
        assert_eq!(problem["errors"][0]["field"], "Idempotency-Key");
        assert_eq!(problem["errors"][0]["code"], "duplicate_field");
    }
    let one = Client::new().post(format!("{}/keyed", server.base)).header("Idempotency-Key", "a").send().await.unwrap();
    assert_eq!(one.text().await.unwrap(), "a");
}

#[tokio::test(flavor = "multi_thread")]
async fn head_is_answered_wherever_get_is_with_its_headers_and_without_a_body() {
    let server = Running::start(Readiness::default());
    for path in ["/list", "/long", "/healthz", "/readyz", "/nowhere", "/list?limit=0", "/stream"] {
        let head = server.send(Method::HEAD, path, "").await;
        let get = Client::new().get(format!("{}{path}", server.base)).send().await.unwrap();
        assert_eq!(head.status(), get.status(), "{path}");
        for header in ["content-type", "content-length", "vary"] {
            assert_eq!(head.headers().get(header), get.headers().get(header), "{path}: {header}");
        }
        assert_eq!(head.bytes().await.unwrap().len(), 0, "{path}");
    }
    let refused = server.send(Method::HEAD, "/act", "").await;
    assert_eq!(refused.status(), 404, "a route that has a guard of its own is none for others");
}

#[tokio::test(flavor = "multi_thread")]
async fn options_tells_the_methods_of_what_is_there() {
    let server = Running::start(Readiness::default());
    for path in ["/list", "/healthz", "/long"] {
        let answer = server.send(Method::OPTIONS, path, "").await;
        assert_eq!(
            (answer.status().as_u16(), answer.headers()["allow"].to_str().unwrap()),
            (204, "GET, HEAD, OPTIONS")
        );
    }
    assert_eq!(server.problem(Method::OPTIONS, "/nowhere", "").await.0, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_answer_is_packed_for_who_takes_gzip_and_a_stream_for_nobody() {
    let server = Running::start(Readiness::default());
    let asked = async |path: &str, accepted: &str| {
        let request = Client::new().get(format!("{}{path}", server.base)).header("accept-encoding", accepted);
        request.send().await.unwrap()
    };
    for (accepted, packed) in [("gzip", true), ("br, gzip;q=0.5", true), ("gzip;q=0", false), ("br", false)] {
        let answer = asked("/long", accepted).await;
        assert_eq!(answer.headers().contains_key("content-encoding"), packed, "{accepted}");
        assert_eq!(answer.headers()["vary"], "accept-encoding");
        let body = answer.bytes().await.unwrap();
        let plain = if packed {
            let mut plain = String::new();
            assert!(body.len() < 1_000, "{}", body.len());
            std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(&body[..]), &mut plain).unwrap();
            plain
        } else {
            String::from_utf8(body.to_vec()).unwrap()
        };
        assert_eq!(serde_json::from_str::<Vec<String>>(&plain).unwrap().len(), 1_000);
    }
    assert!(!asked("/list", "gzip").await.headers().contains_key("content-encoding"), "it is short");
    assert!(!asked("/stream", "gzip").await.headers().contains_key("content-encoding"));
}

/// A request of which only a part is sent.
async fn part_of(server: &Running, path: &str, declared: usize, sent: usize) -> TcpStream {
    let mut client = TcpStream::connect(server.base.trim_start_matches("http://")).await.unwrap();
    let head = format!("POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {declared}\r\n\r\n");
    client.write_all(head.as_bytes()).await.unwrap();
    client.write_all(&vec![b' '; sent]).await.unwrap();
    client
}

/// All that a server says until it closes the connection.
async fn to_the_end(mut client: TcpStream) -> String {
    let mut answer = Vec::new();
    tokio::time::timeout(DEADLINE, client.read_to_end(&mut answer)).await.unwrap().unwrap();
    String::from_utf8(answer).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_does_not_arrive_in_time_is_408_and_its_connection_ends_whatever_it_is_for() {
    let limits = Limits { body_time: Duration::from_millis(100), ..Limits::default() };
    let server = Running::limited(Readiness::default(), limits);
    for path in ["/things", "/act", "/list", "/nowhere"] {
        let answer = to_the_end(part_of(&server, path, 200_000, 100).await).await;
        assert!(
            answer.starts_with("HTTP/1.1 408 ") && answer.contains("\"code\":\"body_too_slow\""),
            "{path}: {answer}"
        );
        assert!(answer.contains("connection: close"), "{path}: {answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn long_bodies_share_a_memory_and_short_ones_come_in_when_it_is_full() {
    let limits = Limits { long_bodies: 200_000, body_time: Duration::from_secs(120), ..Limits::default() };
    let server = Running::limited(Readiness::default(), limits);
    let one = Box::pin(to_the_end(part_of(&server, "/things", 190_000, 100_000).await));
    let other = Box::pin(to_the_end(part_of(&server, "/things", 190_000, 100_000).await));
    // There is room for one of the two; it may be either.
    let (answer, held) = select(one, other).await.factor_first();
    let answer = answer.to_lowercase();
    assert!(answer.starts_with("http/1.1 503 "), "{answer}");
    assert!(answer.contains("retry-after") && answer.contains("connection: close"), "{answer}");
    let thing = json!({"name": "a", "parts": []}).to_string();
    assert_eq!(server.send(Method::POST, "/things", thing.clone()).await.status(), 201);
    drop(held);
    eventually("there is room again", DEADLINE, async || {
        let padded = thing.clone() + &" ".repeat(150_000);
        server.send(Method::POST, "/things", padded).await.status() == 201
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_comes_when_all_connections_are_taken_is_let_in_once_one_is_free() {
    let limits = Limits { connections: 4, body_time: Duration::from_millis(500), ..Limits::default() };
    let server = Running::limited(Readiness::default(), limits);
    let mut held = Vec::new();
    for _ in 0..4 {
        held.push(part_of(&server, "/things", 10, 1).await);
    }
    assert_eq!(server.send(Method::GET, "/healthz", "").await.status(), 200);
    let mut answered = [0; 1];
    let ended = held.iter_mut().filter(|client| client.try_read(&mut answered).is_ok_and(|length| length == 1)).count();
    assert!(ended > 0, "a fifth was let in beside four");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_packed_is_refused_unread() {
    let server = Running::start(Readiness::default());
    for codings in [&["gzip"][..], &["identity", "gzip"], &["gzip", "identity"]] {
        let request = Client::new().post(format!("{}/things", server.base)).body("x");
        let request = codings.iter().fold(request, |request, coding| request.header("content-encoding", *coding));
        assert_eq!(request.send().await.unwrap().status(), 415, "{codings:?}");
    }
}
