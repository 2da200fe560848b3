//! The authorization endpoint (RFC 6749, 3.1): a page to sign in at, which leads back with a code. Nobody stays signed in
//! here, so each request asks for the password.

use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, COOKIE, LOCATION, RETRY_AFTER, SET_COOKIE};
use actix_web::web::{Bytes, Data};
use actix_web::{HttpRequest, HttpResponse};
use shared_events::EmailAddress;
use url::Url;

use super::form::Form;
use super::pages::Login;
use super::{AppState, address};
use crate::accounts::{self, Account, SignIn};
use crate::clients::Client;
use crate::failure::Failure;
use crate::{codes, secrets};

/// What the form has to send as it was asked.
const PARAMETERS: [&str; 8] = [
    "response_type",
    "client_id",
    "redirect_uri",
    "scope",
    "state",
    "nonce",
    "code_challenge",
    "code_challenge_method",
];

/// The browser that was shown the form has this cookie, and the form its hash: nobody else's page can send it.
const COOKIE_NAME: &str = "sandbox_issuer_form";
const PROOF: &str = "form_proof";
/// How long the form can be sent.
const FORM_SECONDS: u32 = 600;

const LONGEST_NONCE: usize = 512;

/// What a program asks for.
struct Asked {
    client: &'static Client,
    redirect: Url,
    redirect_uri: String,
    state: Option<String>,
    scope: String,
    nonce: Option<String>,
    code_challenge: String,
}

/// Why a program doesn't get it.
enum Unfit {
    /// It isn't known where to send people back to, so they are told.
    Told(String),
    /// The program is told.
    Back(Url),
}

pub async fn show(state: Data<AppState>, request: HttpRequest) -> HttpResponse {
    let form = match Form::parse(request.query_string().as_bytes()) {
        Ok(form) => form,
        Err(why) => return state.pages.refused(StatusCode::BAD_REQUEST, &why),
    };
    match Asked::read(&form, state.issuer.name()) {
        Ok(asked) => asked.page(&state, &request, &form, StatusCode::OK, None),
        Err(unfit) => unfit.answer(&state),
    }
}

pub async fn sign_in(state: Data<AppState>, request: HttpRequest, body: Bytes) -> HttpResponse {
    let form = match Form::body(&request, &body) {
        Ok(form) => form,
        Err(why) => return state.pages.refused(StatusCode::BAD_REQUEST, &why),
    };
    let asked = match Asked::read(&form, state.issuer.name()) {
        Ok(asked) => asked,
        Err(unfit) => return unfit.answer(&state),
    };
    let proof = cookie(&request).map(|cookie| secrets::s256(&cookie));
    let is_own =
        proof.zip(form.get(PROOF)).is_some_and(|(proof, given)| secrets::are_same(proof.as_bytes(), given.as_bytes()));
    if !is_own {
        let trouble = Some("The form was too old, or not from this page. Please try again.");
        return asked.page(&state, &request, &form, StatusCode::FORBIDDEN, trouble);
    }
    match asked.signed_in(&state, &request, &form).await {
        Ok(answer) => answer,
        Err(failure) => {
            tracing::error!(error = %failure, "nobody can sign in");
            let trouble = Some("That is not possible just now. Please try again.");
            asked.page(&state, &request, &form, StatusCode::SERVICE_UNAVAILABLE, trouble)
        }
    }
}

impl Asked {
    /// Reads what a program asks for. Until the address to lead back to is known to be the program's, nothing is sent there.
    fn read(form: &Form, issuer: &str) -> Result<Self, Unfit> {
        let told =
            |why: String| Unfit::Told(format!("The program that sent you here asked for something else: {why}."));
        let client = Client::named(form.required("client_id").map_err(told)?);
        let client = client.ok_or_else(|| told("client_id is not known".to_owned()))?;
        let redirect_uri = form.required("redirect_uri").map_err(told)?;
        let redirect = client.redirect(redirect_uri);
        let redirect = redirect.ok_or_else(|| told("redirect_uri is not registered for it".to_owned()))?;
        let state = form.get("state");
        let back = |error: &str, why: &str| {
            let mut to = led_back(&redirect, state, issuer);
            to.query_pairs_mut().append_pair("error", error).append_pair("error_description", why);
            Unfit::Back(to)
        };
        let invalid = |why: String| back("invalid_request", &why);
        for (unknown, error) in [("request", "request_not_supported"), ("request_uri", "request_uri_not_supported")] {
            if form.get(unknown).is_some() {
                return Err(back(error, "it is not understood here"));
            }
        }
        if form.required("response_type").map_err(invalid)? != "code" {
            return Err(back("unsupported_response_type", "expected code"));
        }
        if form.get("response_mode").is_some_and(|mode| mode != "query") {
            return Err(back("invalid_request", "response_mode: expected query"));
        }
        let code_challenge = form.required("code_challenge").map_err(invalid)?;
        if form.get("code_challenge_method") != Some("S256") {
            return Err(back("invalid_request", "code_challenge_method: expected S256"));
        }
        if !secrets::is_like_random(code_challenge) {
            return Err(back("invalid_request", "code_challenge: expected SHA-256 in base64url, 43 characters"));
        }
        let scope = client.scope(form.get("scope")).map_err(|why| back("invalid_scope", &why))?;
        let nonce = form.get("nonce");
        if nonce.is_some_and(|nonce| nonce.len() > LONGEST_NONCE || nonce.contains(char::is_control)) {
            return Err(back("invalid_request", "nonce: expected at most 512 characters on one line"));
        }
        if form.get("prompt").is_some_and(|prompt| prompt.split(' ').any(|one| one == "none")) {
            return Err(back("login_required", "nobody stays signed in here"));
        }
        Ok(Self {
            client,
            redirect_uri: redirect_uri.to_owned(),
            state: state.map(str::to_owned),
            scope,
            nonce: nonce.map(str::to_owned),
            code_challenge: code_challenge.to_owned(),
            redirect,
        })
    }

    /// Checks the password, and leads back with a code if it is right.
    async fn signed_in(&self, state: &AppState, request: &HttpRequest, form: &Form) -> Result<HttpResponse, Failure> {
        let (email, password) = (form.get("email").unwrap_or_default(), form.get("password").unwrap_or_default());
        let wrong = || {
            let trouble = Some("The e-mail address or the password is wrong.");
            Ok(self.page(state, request, form, StatusCode::FORBIDDEN, trouble))
        };
        let Ok(email) = email.trim().parse::<EmailAddress>() else { return wrong() };
        let (password, from, now) = (password.to_owned().into(), address(state, request), state.clock.now());
        match accounts::sign_in(&state.pool, &state.passwords, &email, password, from, now).await? {
            SignIn::Known(account) => self.granted(state, &account).await,
            SignIn::Wrong => wrong(),
            SignIn::TooMany(wait) => {
                let trouble = format!("There were too many attempts. Please try again in {} s.", wait.seconds());
                let mut page = self.page(state, request, form, StatusCode::TOO_MANY_REQUESTS, Some(&trouble));
                page.headers_mut().insert(RETRY_AFTER, wait.seconds().into());
                Ok(page)
            }
        }
    }

    async fn granted(&self, state: &AppState, account: &Account) -> Result<HttpResponse, Failure> {
        let asked = codes::Asked {
            client: self.client.id,
            redirect_uri: &self.redirect_uri,
            scope: &self.scope,
            nonce: self.nonce.as_deref(),
            code_challenge: &self.code_challenge,
        };
        let mut conn = state.pool.get().await?;
        let code = codes::grant(&mut conn, account, &asked, state.clock.now()).await?;
        let mut to = led_back(&self.redirect, self.state.as_deref(), state.issuer.name());
        to.query_pairs_mut().append_pair("code", &code);
        Ok(see_other(&to))
    }

    /// The form, with what was asked and a proof that it is this one.
    fn page(
        &self,
        state: &AppState,
        request: &HttpRequest,
        form: &Form,
        status: StatusCode,
        trouble: Option<&str>,
    ) -> HttpResponse {
        // The same cookie again, so that a form in another tab can still be sent.
        let cookie = cookie(request).unwrap_or_else(secrets::random);
        let proof = secrets::s256(&cookie);
        let mut hidden: Vec<_> = PARAMETERS.iter().filter_map(|name| Some((*name, form.get(name)?))).collect();
        hidden.push((PROOF, &proof));
        let email = form.get("email").unwrap_or_default();
        let login = Login { client: self.client.id, redirect: &self.redirect, hidden: &hidden, email, trouble };
        let mut page = state.pages.login(status, &login);
        let secure = if state.issuer.name().starts_with("https:") { "; Secure" } else { "" };
        let cookie = format!(
            "{COOKIE_NAME}={cookie}; Path=/authorize; Max-Age={FORM_SECONDS}; HttpOnly; SameSite=Strict{secure}"
        );
        if let Ok(cookie) = cookie.try_into() {
            page.headers_mut().insert(SET_COOKIE, cookie);
        }
        page
    }
}

impl Unfit {
    fn answer(self, state: &AppState) -> HttpResponse {
        match self {
            Self::Told(why) => state.pages.refused(StatusCode::BAD_REQUEST, &why),
            Self::Back(to) => see_other(&to),
        }
    }
}

/// Where a program is led back to, which learns from whom (RFC 9207).
fn led_back(redirect: &Url, state: Option<&str>, issuer: &str) -> Url {
    let mut to = redirect.clone();
    to.query_pairs_mut().extend_pairs(state.map(|state| ("state", state))).append_pair("iss", issuer);
    to
}

fn see_other(to: &Url) -> HttpResponse {
    HttpResponse::SeeOther().insert_header((LOCATION, to.as_str())).insert_header((CACHE_CONTROL, "no-store")).finish()
}

/// The form's cookie, if the browser has one that could be.
fn cookie(request: &HttpRequest) -> Option<String> {
    let headers = request.headers().get_all(COOKIE).filter_map(|header| header.to_str().ok());
    headers.flat_map(|header| header.split(';')).find_map(|cookie| {
        let (name, value) = cookie.trim().split_once('=')?;
        (name == COOKIE_NAME && secrets::is_like_random(value)).then(|| value.to_owned())
    })
}
