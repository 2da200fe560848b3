//! Ends connections that are kept and don't bring their next request in time.
//!
//! actix bounds the head of a connection's first request, and how long a kept connection may be silent. Once the first byte
//! of a further head has come, nothing bounds the rest, so that a client could hold all connections with a byte each.

use std::any::Any;
use std::convert::Infallible;
use std::net::{Shutdown, TcpStream};
use std::os::fd::AsFd;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::{Extensions, ServiceRequest, ServiceResponse};
use actix_web::rt::net::TcpStream as Accepted;
use actix_web::web::Bytes;
use tokio::time::{Instant, MissedTickBehavior, interval};

/// The least often that connections are looked through.
const LOOK: Duration = Duration::from_secs(1);

/// The open connections of a server.
#[derive(Clone, Default)]
pub(super) struct Connections(Arc<Mutex<Vec<Weak<Connection>>>>);

struct Connection {
    /// A second descriptor of its socket, which the server owns.
    socket: TcpStream,
    /// Since when it has been waiting for its next request. The wait for the first one is actix's to bound.
    waits_since: Mutex<Option<Instant>>,
}

impl Connections {
    /// Notes a new connection, among the data that its requests have.
    pub(super) fn opened(&self, accepted: &dyn Any, data: &mut Extensions) {
        let Some(accepted) = accepted.downcast_ref::<Accepted>() else { return };
        let Ok(socket) = accepted.as_fd().try_clone_to_owned() else { return };
        let connection = Arc::new(Connection { socket: socket.into(), waits_since: Mutex::new(None) });
        self.lock().push(Arc::downgrade(&connection));
        data.insert(connection);
    }

    /// Ends those that wait for longer than this.
    pub(super) async fn watch(self, limit: Duration) -> Infallible {
        let mut looks = interval(LOOK.min(limit / 4));
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            looks.tick().await;
            self.lock().retain(|connection| {
                let Some(connection) = connection.upgrade() else { return false };
                if connection.waits().is_some_and(|since| since.elapsed() > limit) {
                    // It fails if the client has just gone.
                    let _ = connection.socket.shutdown(Shutdown::Both);
                }
                true
            });
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Weak<Connection>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Connection {
    fn waits(&self) -> MutexGuard<'_, Option<Instant>> {
        self.waits_since.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request that is answered on its connection. When it is dropped, the connection waits for the next one.
pub(super) struct Answering(Option<Arc<Connection>>);

impl Answering {
    pub(super) fn of(request: &ServiceRequest) -> Self {
        let connection = request.conn_data::<Arc<Connection>>().cloned();
        if let Some(connection) = &connection {
            *connection.waits() = None;
        }
        Self(connection)
    }

    /// A stream is an answer for as long as it flows.
    pub(super) fn until_sent(self, response: ServiceResponse) -> ServiceResponse {
        if response.response().body().size() != BodySize::Stream {
            return response;
        }
        response.map_body(|_, body| BoxBody::new(Streamed { body: Box::pin(body), _answering: self }))
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        if let Some(connection) = &self.0 {
            *connection.waits() = Some(Instant::now());
        }
    }
}

struct Streamed<B> {
    body: Pin<Box<B>>,
    _answering: Answering,
}

impl<B: MessageBody> MessageBody for Streamed<B> {
    type Error = B::Error;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        self.body.as_mut().poll_next(context)
    }
}
