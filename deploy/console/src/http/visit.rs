//! A visit: who asks for a page, by which cookies, and how they are answered.

use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::time::Duration;

use crate::pages::context;
use actix_web::dev::Payload;
use actix_web::http::header::{COOKIE, HOST, HeaderName, HeaderValue, LOCATION, REFERER, SET_COOKIE};
use actix_web::http::{Method, StatusCode};
use actix_web::web::Data;
use actix_web::{FromRequest, HttpRequest, HttpResponse};
use minijinja::value::Value;
use url::Url;

use super::form::Form;
use super::{AppState, signed_in};
use crate::secrets;
use crate::services::Failure;
use crate::sessions::{self, Session};

/// The cookie of whoever is signed in.
pub const SESSION: &str = "console_session";
/// The cookie that forms must come with: no other site's page knows what is derived from it.
const FORM: &str = "console_form";
/// The field of a form that proves where it comes from.
const PROOF: &str = "proof";

/// Whoever asks for a page.
pub struct Visit {
    pub state: Data<AppState>,
    pub request: HttpRequest,
    pub session: Option<Session>,
    /// Cookies to be set with the answer.
    set: Vec<String>,
    form: String,
}

/// Why a page is not shown. It is shown as a page itself.
pub enum Refusal {
    /// Whoever asks has to sign in first.
    SignIn(String),
    Shown {
        status: StatusCode,
        title: &'static str,
        why: String,
        page: Box<Visit>,
    },
}

impl FromRequest for Visit {
    type Error = actix_web::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Self::Error>>>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move {
            let Some(state) = request.app_data::<Data<AppState>>().cloned() else {
                return Err(actix_web::error::ErrorInternalServerError("no state"));
            };
            let mut set = Vec::new();
            let form = cookie(&request, FORM).filter(|known| secrets::is_like_random(known)).unwrap_or_else(|| {
                let form = secrets::random();
                set.push(written(&state, FORM, &form, "/", None));
                form
            });
            let session = match cookie(&request, SESSION) {
                Some(known) => {
                    let (session, is_renewed) = signed_in::current(&state, &known).await;
                    if is_renewed {
                        // Whoever does something stays signed in: the browser keeps its cookie for as long again.
                        set.push(written(&state, SESSION, &known, "/", Some(sessions::LIFE)));
                    }
                    session
                }
                None => None,
            };
            Ok(Self { state, request, session, set, form })
        })
    }
}

impl Visit {
    /// The token of whoever asks.
    pub fn token(&self) -> Option<&str> {
        self.session.as_ref().map(|session| session.access_token.as_str())
    }

    /// The address of whoever asks, by what the proxies before the console say. Services that count requests by client are told
    /// it, or would take all for the console's own.
    pub fn client(&self) -> Option<IpAddr> {
        self.state.proxies.client_of(&self.request)
    }

    pub fn cookie(&self, name: &str) -> Option<String> {
        cookie(&self.request, name)
    }

    /// Has the browser keep a cookie, for pages below `path`.
    pub fn keep(&mut self, name: &str, value: &str, path: &str, life: Duration) {
        self.set.push(written(&self.state, name, value, path, Some(life)));
    }

    pub fn drop_cookie(&mut self, name: &str, path: &str) {
        self.keep(name, "", path, Duration::ZERO);
    }

    /// The form that was sent, if it is one of ours.
    pub fn form(self, body: &[u8]) -> Result<(Self, Form), Refusal> {
        let form = match Form::body(&self.request, body) {
            Ok(form) => form,
            Err(why) => return Err(self.refuse(StatusCode::BAD_REQUEST, "That can't be read", why)),
        };
        let is_own = form.get(PROOF).is_some_and(|proof| secrets::are_same(proof, &self.proof()));
        if !is_own {
            let why =
                "The form was too old, or it is not from this page. Please go back, load the page again, and repeat.";
            return Err(self.refuse(StatusCode::FORBIDDEN, "That did not come from here", why.to_owned()));
        }
        Ok((self, form))
    }

    fn proof(&self) -> String {
        secrets::derived(&self.form, "form")
    }

    /// Only staff and operators go on; everybody, where nobody signs in.
    pub fn for_workers(self) -> Result<Self, Refusal> {
        match &self.session {
            _ if self.state.issuer.is_none() => Ok(self),
            Some(session) if session.works_here() => Ok(self),
            Some(_) => {
                let why = "The control room is for staff and operators.";
                Err(self.refuse(StatusCode::FORBIDDEN, "This is not yours", why.to_owned()))
            }
            None => Err(self.sign_in_first()),
        }
    }

    /// Whoever wants to see a page is led to the issuer, and back. A form, and what a page asks by itself, is not: what was
    /// typed would be lost, and a sign-in in another tab disturbed.
    fn sign_in_first(self) -> Refusal {
        let by_itself = self.request.headers().contains_key("hx-request");
        if self.request.method() == Method::GET && !by_itself && self.session.is_none() {
            return Refusal::SignIn(self.here());
        }
        let why = "You are not signed in any more, or not for this. Please sign in, and repeat.";
        self.refuse(StatusCode::UNAUTHORIZED, "Please sign in", why.to_owned())
    }

    /// The page that whoever asks is on, by its path and query: what was asked for; of a form, the page that it stood on, since
    /// where it is sent to may be no page.
    pub fn here(&self) -> String {
        match *self.request.method() {
            Method::GET | Method::HEAD => asked_for(&self.request),
            _ => came_from(&self.request).unwrap_or_else(|| "/".to_owned()),
        }
    }

    pub fn refuse(self, status: StatusCode, title: &'static str, why: String) -> Refusal {
        Refusal::Shown { status, title, why, page: Box::new(self) }
    }

    /// Says why a service did not do what it was asked.
    pub fn failed(self, failure: &Failure) -> Refusal {
        match failure {
            Failure::Away { service, why } => {
                tracing::warn!(service, why, "a page can't be shown");
                let why = format!("{service} can't be asked just now. Please try again in a moment.");
                self.refuse(StatusCode::SERVICE_UNAVAILABLE, "Not just now", why)
            }
            Failure::Refused { status: 401, .. } => self.sign_in_first(),
            Failure::Refused { status, .. } => {
                let status = StatusCode::from_u16(*status).unwrap_or(StatusCode::BAD_REQUEST);
                let title = if status == StatusCode::NOT_FOUND { "There is nothing here" } else { "That was refused" };
                self.refuse(status, title, failure.to_string())
            }
        }
    }

    /// A page for whoever asks. What every page shows of them is added to `own`.
    pub fn page(self, name: &str, own: Value) -> HttpResponse {
        self.page_as(StatusCode::OK, name, own)
    }

    pub fn page_as(self, status: StatusCode, name: &str, own: Value) -> HttpResponse {
        let context = context! { ..own, ..self.context() };
        let answer = self.state.pages.answer(status, name, context);
        self.answer(answer)
    }

    /// What every page shows: who it is for, and what proves a form's origin.
    pub fn context(&self) -> Value {
        let session = self.session.as_ref();
        let may = |role: &str| self.state.issuer.is_none() || session.is_some_and(|session| session.is(role));
        context! {
            // Whose buttons are shown. The services decide.
            may => context! { staff => may("staff"), operator => may("operator") },
            me => session.map(|session| context! {
                sub => session.sub,
                name => session.name.as_deref().unwrap_or(&session.sub),
                email => session.email,
                works_here => session.works_here(),
                is_staff => session.is("staff"),
                is_operator => session.is("operator"),
                is_customer => session.is("customer"),
            }),
            signs_in => self.state.issuer.is_some(),
            works_here => self.state.issuer.is_none() || session.is_some_and(Session::works_here),
            proof => self.proof(),
            here => self.here(),
            path => self.request.path(),
            sandbox => self.state.is_sandbox,
            basket_size => crate::shop::basket::Basket::of(self).pieces(),
        }
    }

    /// Leads on to another page, after a form was taken.
    pub fn go(self, to: &str) -> HttpResponse {
        let answer = HttpResponse::SeeOther().insert_header((LOCATION, to)).finish();
        self.answer(answer)
    }

    /// Sets what cookies there are to set.
    pub fn answer(self, mut answer: HttpResponse) -> HttpResponse {
        for cookie in self.set {
            if let Ok(cookie) = cookie.try_into() {
                answer.headers_mut().append(SET_COOKIE, cookie);
            }
        }
        answer
    }
}

impl Refusal {
    pub fn answer(self) -> HttpResponse {
        match self {
            Self::SignIn(here) => {
                let to = format!("/sign-in?{}", crate::services::query([("to", here.as_str())]));
                HttpResponse::SeeOther().insert_header((LOCATION, to)).finish()
            }
            Self::Shown { status, title, why, page } => {
                let back = came_from(&page.request).filter(|_| page.request.method() != Method::GET);
                // Whoever looks at a part that asks again by itself is led to sign in by the whole page.
                let is_part = status == StatusCode::UNAUTHORIZED && page.request.headers().contains_key("hx-request");
                let mut answer = page.page_as(status, "failed.html", context! { title, why, back });
                if is_part {
                    let refresh = HeaderName::from_static("hx-refresh");
                    answer.headers_mut().insert(refresh, HeaderValue::from_static("true"));
                }
                answer
            }
        }
    }
}

/// A handler that shows either a page or why there is none.
pub async fn shown(page: impl Future<Output = Result<HttpResponse, Refusal>>) -> HttpResponse {
    page.await.unwrap_or_else(Refusal::answer)
}

fn asked_for(request: &HttpRequest) -> String {
    request.uri().path_and_query().map_or_else(|| "/".to_owned(), ToString::to_string)
}

/// The page here that a request came from, by its path and query, if the browser says so.
pub fn came_from(request: &HttpRequest) -> Option<String> {
    let header = |name| request.headers().get(name).and_then(|value| value.to_str().ok());
    let from = Url::parse(header(REFERER)?).ok().filter(|from| matches!(from.scheme(), "http" | "https"))?;
    let port = from.port().map(|port| format!(":{port}")).unwrap_or_default();
    let is_here = header(HOST)? == format!("{}{port}", from.host_str()?);
    let query = from.query().map(|query| format!("?{query}")).unwrap_or_default();
    is_here.then(|| format!("{}{query}", from.path()))
}

fn cookie(request: &HttpRequest, name: &str) -> Option<String> {
    let headers = request.headers().get_all(COOKIE).filter_map(|header| header.to_str().ok());
    headers.flat_map(|header| header.split(';')).find_map(|cookie| {
        let (known, value) = cookie.trim().split_once('=')?;
        (known == name && !value.is_empty()).then(|| value.to_owned())
    })
}

/// `SameSite=Lax`: links from elsewhere find people signed in, and forms from elsewhere don't.
fn written(state: &AppState, name: &str, value: &str, path: &str, life: Option<Duration>) -> String {
    let life = life.map(|life| format!("; Max-Age={}", life.as_secs())).unwrap_or_default();
    let secure = if state.is_https() { "; Secure" } else { "" };
    format!("{name}={value}; Path={path}{life}; HttpOnly; SameSite=Lax{secure}")
}
