//! A service's HTTP server. It binds first, so that a taken port is reported at once, and the shared token stops it.

use std::collections::BTreeMap;
use std::future::{Future, ready};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_web::body::MessageBody;
use actix_web::dev::{Server, ServiceRequest, ServiceResponse};
use actix_web::http::header::{ALLOW, HeaderMap, HeaderValue};
use actix_web::http::{ConnectionType, Method};
use actix_web::middleware::{Next, from_fn};
use actix_web::web::{self, ServiceConfig};
use actix_web::{App, HttpRequest, HttpResponse, ResponseError};
use anyhow::Context;
use tokio::net::TcpSocket;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::body::BodyRoom;
use super::openapi::{Health, Ready};
use super::{Problem, encoding, methods, newline};
use crate::config::HttpConfig;
use crate::consumer::ConsumerHandle;
use crate::{Pool, pool, telemetry, trace};

const WORKERS: usize = 2;

/// Operators get these answers at any load.
const ALWAYS_ANSWERED: [&str; 3] = ["/healthz", "/readyz", "/metrics"];

/// What readiness reports of a failed check that gives no reason.
const FAILING: &str = "failing";

/// One condition of readiness: its name, and a check that may report what is wrong.
pub type Check =
    (&'static str, Arc<dyn Fn() -> Pin<Box<dyn Future<Output = Result<(), String>> + Send>> + Send + Sync>);

/// The checks of `/readyz`.
#[derive(Clone, Default)]
pub struct Readiness {
    checks: Vec<Check>,
    duties: Vec<Check>,
}

impl Readiness {
    /// The checks of every service with a database and a consumer.
    pub fn of(pool: &Pool, consumer: &ConsumerHandle) -> Self {
        let (pool, broker, topics, heard) = (pool.clone(), consumer.clone(), consumer.clone(), consumer.clone());
        Self::default()
            .and_told("database", move || {
                let pool = pool.clone();
                async move { pool::takes_writes(&pool).await }
            })
            .and("broker", move || ready(broker.broker_answers()))
            .and_told("topics", move || ready(topics.topics_are_there()))
            .and("consumer", move || ready(heard.is_well()))
    }

    /// Adds a check, such as `database`.
    #[must_use]
    pub fn and<F>(self, name: &'static str, ask: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = bool> + Send + 'static,
    {
        self.and_told(name, move || {
            let asked = ask();
            async move { if asked.await { Ok(()) } else { Err(FAILING.to_owned()) } }
        })
    }

    /// Adds a check that reports what is wrong.
    #[must_use]
    pub fn and_told<F>(mut self, name: &'static str, ask: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<(), String>> + Send + 'static,
    {
        self.checks.push((name, Arc::new(move || Box::pin(ask()))));
        self
    }

    /// Adds a check of something that may fail without making the service useless, such as an external server that is
    /// away. A failure makes the service `degraded` but not unready: it serves everything else, and no other instance
    /// could do better.
    #[must_use]
    pub fn and_able<F>(mut self, name: &'static str, ask: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<(), String>> + Send + 'static,
    {
        self.duties.push((name, Arc::new(move || Box::pin(ask()))));
        self
    }

    async fn answer(&self) -> HttpResponse {
        let mut checks = asked(&self.checks).await;
        let ready = are_well(&checks);
        let duties = asked(&self.duties).await;
        let status = match (ready, are_well(&duties)) {
            (false, _) => "not ready",
            (true, false) => "degraded",
            (true, true) => "ready",
        };
        checks.extend(duties);
        let body = Ready { status, checks };
        if ready { HttpResponse::Ok().json(body) } else { HttpResponse::ServiceUnavailable().json(body) }
    }
}

/// The results of the checks: `ok`, or what is wrong.
async fn asked(checks: &[Check]) -> BTreeMap<&'static str, String> {
    let mut told = BTreeMap::new();
    for (name, ask) in checks {
        let answer = timeout(Duration::from_secs(3), ask()).await;
        let answer = answer.unwrap_or_else(|_| Err(FAILING.to_owned()));
        told.insert(*name, answer.err().unwrap_or_else(|| "ok".to_owned()));
    }
    told
}

fn are_well(told: &BTreeMap<&'static str, String>) -> bool {
    told.values().all(|state| state == "ok")
}

/// A server that is bound but not yet running.
pub struct HttpServer {
    server: Server,
    port: u16,
}

impl HttpServer {
    /// The port it is bound to.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Serves until the token that was given to [`bind`] is cancelled, and then for up to 10 s until the requests in
    /// progress are answered.
    ///
    /// # Errors
    /// Fails if the server can't run.
    pub async fn run(self) -> std::io::Result<()> {
        let served = self.server.await;
        served.map_err(|error| std::io::Error::new(error.kind(), format!("serving HTTP: {error}")))
    }
}

/// Binds an address for `service` with its routes, `/healthz`, `/readyz` and `/metrics`. Every error is answered with
/// a [`Problem`].
///
/// # Errors
/// Fails if the address can't be bound, and names the address and the variable that sets it.
pub fn bind<F>(
    service: &'static str,
    listen: impl Into<HttpConfig>,
    ready: Readiness,
    shutdown: CancellationToken,
    routes: F,
) -> anyhow::Result<HttpServer>
where
    F: Fn(&mut ServiceConfig) + Clone + Send + 'static,
{
    let HttpConfig { addr, variable, limits, answer_within } = listen.into();
    let (room, under_way) = (BodyRoom::new(limits), Arc::new(Semaphore::new(limits.connections + WORKERS)));
    let app = move || {
        let (ready, room, under_way) = (ready.clone(), room.clone(), Arc::clone(&under_way));
        App::new()
            .wrap(from_fn(move |request, next| {
                around((room.clone(), Arc::clone(&under_way)), request, next, answer_within)
            }))
            // These are resources and not routes of the app, because only a resource refuses other methods with 405.
            .service(web::resource("/healthz").get(|| async { HttpResponse::Ok().json(Health { status: "ok" }) }))
            .service(web::resource("/readyz").get(move || {
                let ready = ready.clone();
                async move { ready.answer().await }
            }))
            .service(web::resource("/metrics").get(metrics))
            .configure(routes.clone())
            .default_service(web::to(nothing_here))
    };
    let server = actix_web::HttpServer::new(app)
        .workers(WORKERS)
        .max_connections(limits.connections.div_ceil(WORKERS))
        .shutdown_timeout(10)
        .disable_signals()
        .shutdown_signal(shutdown.cancelled_owned())
        .listen(listen_on(addr).with_context(|| {
            format!("can't listen on {addr}: choose another address with {variable}, or end what uses the port")
        })?)
        .with_context(|| format!("can't serve on {addr}"))?;
    let port = server.addrs().first().map_or(addr.port(), SocketAddr::port);
    tracing::info!(service, port, "listening");
    Ok(HttpServer { server: server.run(), port })
}

/// A listener with small receive buffers. actix reads everything that has arrived of a body, into a buffer that each
/// connection keeps.
fn listen_on(addr: SocketAddr) -> std::io::Result<std::net::TcpListener> {
    const RECEIVED: u32 = 16 * 1024;
    const WAITING: u32 = 1024;
    let socket = if addr.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    socket.set_recv_buffer_size(RECEIVED)?;
    socket.bind(addr)?;
    socket.listen(WAITING)?.into_std()
}

async fn metrics() -> HttpResponse {
    HttpResponse::Ok().content_type("text/plain; version=0.0.4").body(telemetry::render_metrics())
}

async fn nothing_here(request: HttpRequest) -> Result<HttpResponse, Problem> {
    Err(Problem::not_found(format!("There is nothing at {}.", request.path())))
}

/// Wraps every request: reads its body, sets its trace, records metrics and a log line, and adds the path to errors.
///
/// A request runs to its end in a task of its own, even if the client goes away, at which point actix drops the
/// handler. A request that takes too long is cancelled, which releases what it holds of the database. The number of
/// requests in progress is limited to the number of connections, also when clients that went away have made room for
/// others.
async fn around(
    (room, under_way): (BodyRoom, Arc<Semaphore>),
    mut request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
    answer_within: Duration,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    let started = Instant::now();
    let parent = traceparent(request.headers()).map(str::to_owned);
    let asked = methods::as_routed(&mut request);
    let turn = under_way.try_acquire_owned().ok();
    let response = if turn.is_some() || ALWAYS_ANSWERED.contains(&request.path()) {
        let begun = actix_web::rt::spawn(trace::within(parent.as_deref(), async move {
            let _turn = turn;
            match room.read(&mut request).await {
                // The share is held until the answer is ready.
                Ok(_share) => within(answer_within, request, next).await,
                Err(problem) => Ok(unread(request, &problem)),
            }
        }));
        begun.await.map_err(Problem::internal)??
    } else {
        unread(request, &Problem::unavailable("Too many requests are in progress."))
    };
    let route = response.request().match_pattern().unwrap_or_else(|| "none".to_owned());
    let method = asked.as_str().to_owned();
    let status = response.status();
    let seconds = started.elapsed().as_secs_f64();
    tracing::debug!(
        http.method = method,
        http.route = route,
        http.status = status.as_u16(),
        duration_seconds = seconds,
        "answered"
    );
    let method = known_method(&asked);
    let labels = [("method", method.to_owned()), ("route", route), ("status", status.as_u16().to_string())];
    metrics::histogram!("http_request_duration_seconds", &labels).record(seconds);
    let response = encoding::encoded(newline::ended(located(response, &asked))).await;
    Ok(if asked == Method::HEAD { methods::without_body(response) } else { response })
}

/// Runs the handler, and answers with 503 if it takes too long.
async fn within(
    limit: Duration,
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse, actix_web::Error> {
    let path = request.path().to_owned();
    if let Ok(answered) = timeout(limit, next.call(request)).await {
        return answered.map(ServiceResponse::map_into_boxed_body);
    }
    tracing::warn!(http.path = path, seconds = limit.as_secs_f64(), "a request took too long and was given up");
    metrics::counter!("http_requests_given_up_total").increment(1);
    Err(Problem::unavailable("The request took too long.").at_path(path).into())
}

/// The answer to a request whose body was not read to the end. The connection must close, because what follows on it
/// can't be understood.
fn unread(request: ServiceRequest, problem: &Problem) -> ServiceResponse {
    let mut answer = problem.error_response();
    answer.head_mut().set_connection_type(ConnectionType::Close);
    request.into_response(answer)
}

/// The method as a metric's label. HTTP lets clients invent methods, and each value of a label is kept for ever.
fn known_method(method: &Method) -> &'static str {
    const KNOWN: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
    KNOWN.into_iter().find(|known| method.as_str() == *known).unwrap_or("other")
}

/// The caller's trace. If there are several, none is used: W3C Trace Context says to begin a new trace then.
fn traceparent(headers: &HeaderMap) -> Option<&str> {
    let mut given = headers.get_all("traceparent");
    let first = given.next()?;
    if given.next().is_some() { None } else { first.to_str().ok() }
}

/// Adds the path to a problem. It also turns actix's own refusals (405) into problems, or into the answer to OPTIONS.
fn located(response: ServiceResponse, asked: &Method) -> ServiceResponse {
    let problem = response.response().extensions().get::<Problem>().cloned();
    let is_refused = problem.is_none() && response.status().as_u16() == 405;
    let allowed = methods::allowed(response.headers().get(ALLOW));
    if is_refused && *asked == Method::OPTIONS {
        let (request, _) = response.into_parts();
        return ServiceResponse::new(request, methods::options(&allowed));
    }
    let problem = match problem {
        Some(problem) => problem,
        None if is_refused => Problem::method_not_allowed(format!("{asked} is not allowed here.")),
        None => return response,
    };
    let (request, refused) = response.into_parts();
    let mut answer = problem.at(&request).error_response();
    answer.head_mut().set_connection_type(refused.head().connection_type());
    if is_refused && let Ok(allowed) = HeaderValue::try_from(allowed) {
        answer.headers_mut().insert(ALLOW, allowed);
    }
    ServiceResponse::new(request, answer)
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};

    use super::traceparent;

    #[test]
    fn of_several_traceparents_none_is_taken() {
        let name = HeaderName::from_static("traceparent");
        let mut headers = HeaderMap::new();
        assert_eq!(traceparent(&headers), None);
        headers.append(name.clone(), HeaderValue::from_static("00-a-b-01"));
        assert_eq!(traceparent(&headers), Some("00-a-b-01"));
        headers.append(name, HeaderValue::from_static("00-c-d-01"));
        assert_eq!(traceparent(&headers), None);
    }
}
