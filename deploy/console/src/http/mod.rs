//! What is asked over HTTP. [`visit`] knows who asks; the pages are in `shop` and in `control`.

pub mod assets;
pub mod form;
mod problems;
pub mod sessions;
mod signed_in;
pub mod visit;

use std::sync::{Arc, OnceLock};

use actix_web::web::{self, Data, ServiceConfig};
use service_kit::Pool;
use service_kit::http::Proxies;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::beside::Beside;
use crate::control::samples::Samples;
use crate::heard::Changes;
use crate::pages::Pages;
use crate::services::Services;
use crate::sign_in::Issuer;
use crate::{control, shop};

/// How many pages may be told live what changes, at once: each takes one of the server's connections, of which the rest is
/// for pages.
pub const LIVE: usize = 300;

/// What every page needs.
#[derive(Clone)]
pub struct AppState {
    pub pool: Pool,
    pub pages: Arc<Pages>,
    pub services: Services,
    /// What there is beside them.
    pub beside: Beside,
    /// Where people look at a trace, without its id.
    pub traces: Option<Url>,
    /// How the services were within the last hour.
    pub samples: Samples,
    /// None where nobody signs in: then everybody may do everything.
    pub issuer: Option<Issuer>,
    /// Where browsers reach the console, without a slash at its end; known once the server is bound.
    pub url: Arc<OnceLock<String>>,
    pub is_sandbox: bool,
    /// The proxies through which browsers come.
    pub proxies: Proxies,
    pub changes: Changes,
    pub live: Arc<Semaphore>,
    /// Ends what is told live.
    pub stop: CancellationToken,
}

impl AppState {
    pub fn is_https(&self) -> bool {
        self.url().starts_with("https:")
    }

    pub fn redirect_uri(&self) -> String {
        format!("{}/callback", self.url())
    }

    /// The first page.
    pub fn home(&self) -> String {
        format!("{}/", self.url())
    }

    fn url(&self) -> &str {
        self.url.get().map_or("", String::as_str)
    }
}

pub fn routes(config: &mut ServiceConfig, state: &AppState) {
    config
        .app_data(Data::new(state.clone()))
        .app_data(problems::page(state))
        .default_service(web::to(|asked| visit::shown(problems::nothing_here(asked))))
        .configure(assets::routes)
        .configure(sessions::routes)
        .configure(control::routes)
        .configure(shop::routes);
}

/// Where browsers reach what listens at this port, if nothing else is said.
pub fn url_of(console: Option<&Url>, addr: std::net::SocketAddr, port: u16) -> String {
    match console {
        Some(url) => url.as_str().trim_end_matches('/').to_owned(),
        None => format!("http://{}", std::net::SocketAddr::new(addr.ip(), port)),
    }
}
