//! A service's HTTP server. It binds first, so that a taken port is reported at once, and the shared token stops it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_web::body::MessageBody;
use actix_web::dev::{Server, ServiceRequest, ServiceResponse};
use actix_web::http::header::{ALLOW, HeaderMap, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::middleware::{Next, from_fn};
use actix_web::web::{self, ServiceConfig};
use actix_web::{App, HttpRequest, HttpResponse, ResponseError};
use anyhow::Context;
use futures_util::future::try_join_all;
use tokio::net::TcpSocket;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::body::BodyRoom;
use super::connections::{Answering, Connections};
use super::door::{Door, closing};
use super::openapi::Health;
use super::rate::Rates;
use super::readiness::Readiness;
use super::{Problem, encoding, methods, newline};
use crate::auth::{Action, Guard};
use crate::config::{HttpConfig, vars};
use crate::telemetry;
use crate::trace::{self, Kind, Span, Told, semconv};

const WORKERS: usize = 2;

/// Operators get these answers at any load.
pub(super) const ALWAYS_ANSWERED: [&str; 3] = ["/healthz", "/readyz", "/metrics"];

/// A server that is bound but not yet running.
pub struct HttpServer {
    public: Listening,
    /// For operators, if they have an address of their own.
    ops: Option<Listening>,
}

struct Listening {
    server: Server,
    port: u16,
    connections: Connections,
    next_time: Duration,
}

impl HttpServer {
    /// The port it is bound to.
    pub const fn port(&self) -> u16 {
        self.public.port
    }

    /// The port that answers operators, if it is another.
    pub fn ops_port(&self) -> Option<u16> {
        self.ops.as_ref().map(|ops| ops.port)
    }

    /// Serves until the token that was given to [`bind`] is cancelled, and then for up to 10 s until the requests in
    /// progress are answered.
    ///
    /// # Errors
    /// Fails if the server can't run.
    pub async fn run(self) -> std::io::Result<()> {
        let servers = [self.public].into_iter().chain(self.ops).map(Listening::run);
        let served = try_join_all(servers).await.map(drop);
        served.map_err(|error| std::io::Error::new(error.kind(), format!("serving HTTP: {error}")))
    }
}

impl Listening {
    async fn run(self) -> std::io::Result<()> {
        tokio::select! {
            served = self.server => served,
            never = self.connections.watch(self.next_time) => match never {},
        }
    }
}

/// Binds an address for `service` with its routes, `/healthz`, `/readyz` and `/metrics`. Every error is answered with
/// a [`Problem`]. `/readyz` and `/metrics` are at the operators' address instead, if they have one. `guard` says who may
/// do what.
///
/// # Errors
/// Fails if an address can't be bound, and names the address and the variable that sets it.
pub fn bind<F>(
    service: &'static str,
    listen: impl Into<HttpConfig>,
    ready: Readiness,
    guard: Guard,
    shutdown: CancellationToken,
    routes: F,
) -> anyhow::Result<HttpServer>
where
    F: Fn(&mut ServiceConfig) + Clone + Send + 'static,
{
    let listen = listen.into();
    let rates = Rates::new(&listen.rate_limit).map(Arc::new);
    let for_operators = move |config: &mut ServiceConfig| {
        let ready = ready.clone();
        config
            .service(web::resource("/readyz").get(move || {
                let ready = ready.clone();
                async move { ready.answer().await }
            }))
            .service(web::resource("/metrics").get(metrics));
    };
    let ops = match listen.ops {
        Some(addr) => {
            let listen = HttpConfig { variable: vars::OPS_ADDR.name, ..addr.into() };
            Some(serve(&listen, Guard::for_everybody(), shutdown.clone(), for_operators.clone())?)
        }
        None => None,
    };
    let is_for_all = ops.is_none();
    let public = serve(&listen, guard, shutdown, move |config| {
        if let Some(rates) = &rates {
            config.app_data(Arc::clone(rates));
        }
        if is_for_all {
            for_operators(config);
        }
        routes(config);
    })?;
    let server = HttpServer { public, ops };
    tracing::info!(service, port = server.port(), ops_port = server.ops_port(), "listening");
    Ok(server)
}

/// Binds one address, with these routes and `/healthz`.
fn serve<F>(listen: &HttpConfig, guard: Guard, shutdown: CancellationToken, routes: F) -> anyhow::Result<Listening>
where
    F: Fn(&mut ServiceConfig) + Clone + Send + 'static,
{
    let HttpConfig { addr, variable, limits, answer_within, .. } = *listen;
    let (room, under_way) = (BodyRoom::new(limits), Arc::new(Semaphore::new(limits.connections + WORKERS)));
    let door = Door { hosts: listen.allowed_hosts.clone(), origins: listen.origins.clone() };
    let app = move || {
        let (room, under_way, door, guard) = (room.clone(), Arc::clone(&under_way), door.clone(), guard.clone());
        App::new()
            .wrap(from_fn(move |request, next| {
                let all = (room.clone(), Arc::clone(&under_way), door.clone(), guard.clone());
                around(all, request, next, answer_within)
            }))
            // These are resources and not routes of the app, because only a resource refuses other methods with 405.
            .service(web::resource("/healthz").get(|| async { HttpResponse::Ok().json(Health { status: "ok" }) }))
            .configure(routes.clone())
            .default_service(web::to(nothing_here))
    };
    let connections = Connections::default();
    let opened = connections.clone();
    let server = actix_web::HttpServer::new(app)
        .on_connect(move |accepted, data| opened.opened(accepted, data))
        .workers(WORKERS)
        .max_connections(limits.connections.div_ceil(WORKERS))
        .client_request_timeout(limits.head_time)
        .shutdown_timeout(10)
        .disable_signals()
        .shutdown_signal(shutdown.cancelled_owned())
        .listen(listen_on(addr).with_context(|| {
            format!("can't listen on {addr}: choose another address with {variable}, or end what uses the port")
        })?)
        .with_context(|| format!("can't serve on {addr}"))?;
    let port = server.addrs().first().map_or(addr.port(), SocketAddr::port);
    Ok(Listening { server: server.run(), port, connections, next_time: limits.next_time })
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
    (room, under_way, door, guard): (BodyRoom, Arc<Semaphore>, Door, Guard),
    mut request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
    answer_within: Duration,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    let parent = traceparent(request.headers()).and_then(trace::Context::parse);
    let is_probe = ALWAYS_ANSWERED.contains(&request.path());
    let method = methods::as_routed(&mut request);
    let asked = Asked { began: Instant::now(), span: Span::begin(parent), method: method.clone(), is_probe };
    let answering = Answering::of(&request);
    let turn = under_way.try_acquire_owned().ok();
    let response = if let Some(answer) = door.answer(&request) {
        asked.tell(Ok(request.into_response(answer)))?
    } else if turn.is_some() || is_probe {
        let told = asked.clone();
        let begun = actix_web::rt::spawn(trace::within(asked.span.context(), async move {
            let _turn = turn;
            told.tell(Box::pin(answered(&guard, &room, request, next, answer_within)).await)
        }));
        match begun.await {
            Ok(answered) => answered?,
            Err(error) => asked.tell(Err(Problem::internal(error).into()))?,
        }
    } else {
        asked.tell(Ok(unread(request, &Problem::unavailable("Too many requests are in progress."))))?
    };
    let response = encoding::encoded(newline::ended(door.leave(located(response, &method)))).await;
    let response = answering.until_sent(response);
    Ok(if method == Method::HEAD { methods::without_body(response) } else { response })
}

/// Admits a request, reads its body and runs its handler.
async fn answered(
    guard: &Guard,
    room: &BodyRoom,
    mut request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
    answer_within: Duration,
) -> Result<ServiceResponse, actix_web::Error> {
    // Before the body is read: whoever may not do it must not cost more than that. What is boxed here and below takes no
    // room in the request's task while something else of it runs.
    let admitted = timeout(answer_within, Box::pin(guard.admit(&request))).await;
    let action = match admitted.unwrap_or_else(|_| Err(Problem::unavailable("The request took too long."))) {
        Ok(action) => action,
        Err(problem) => return Ok(unread(request, &problem)),
    };
    let answered = match room.read(&mut request).await {
        // The share is held until the answer is ready.
        Ok(_share) => Action::run(action.as_ref(), Box::pin(within(answer_within, request, next))).await,
        Err(problem) => Ok(unread(request, &problem)),
    };
    if let Some(action) = action {
        let refused = |error: &actix_web::Error| error.as_response_error().status_code();
        Box::pin(action.end(answered.as_ref().map_or_else(refused, ServiceResponse::status))).await;
    }
    answered
}

/// A request of which is told when its answer is made, also if its client has gone by then.
#[derive(Clone)]
struct Asked {
    began: Instant,
    span: Span,
    method: Method,
    is_probe: bool,
}

impl Asked {
    /// Tells of it, in its span, a metric and the log. The address is not told, since it may hold names and tokens; its pattern is.
    fn tell(&self, answer: Result<ServiceResponse, actix_web::Error>) -> Result<ServiceResponse, actix_web::Error> {
        let (status, route) = match &answer {
            Ok(response) => (response.status(), response.request().match_pattern()),
            Err(error) => (error.as_response_error().status_code(), None),
        };
        if !self.is_probe {
            self.end_span(status, route.as_deref());
        }
        let (seconds, route) = (self.began.elapsed().as_secs_f64(), route.unwrap_or_else(|| "none".to_owned()));
        tracing::debug!(
            http.method = self.method.as_str(),
            http.route = route,
            http.status = status.as_u16(),
            duration_seconds = seconds,
            "answered"
        );
        let method = known_method(&self.method);
        let labels = [("method", method.to_owned()), ("route", route), ("status", status.as_u16().to_string())];
        metrics::histogram!("http_request_duration_seconds", &labels).record(seconds);
        answer
    }

    fn end_span(&self, status: StatusCode, route: Option<&str>) {
        let failure = status.is_server_error().then(|| status.as_str().to_owned().into());
        self.span.end(failure, || {
            let method = known_method(&self.method);
            let name = route.map_or_else(|| method.to_owned(), |route| format!("{method} {route}"));
            Told::new(Kind::Server, name)
                .with(semconv::HTTP_REQUEST_METHOD, method)
                .maybe(semconv::HTTP_ROUTE, route.map(str::to_owned))
                .with(semconv::HTTP_RESPONSE_STATUS_CODE, i64::from(status.as_u16()))
        });
    }
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

/// The answer to a request whose body was not read to the end.
fn unread(request: ServiceRequest, problem: &Problem) -> ServiceResponse {
    request.into_response(closing(problem))
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
