//! The access table: which route is for whom. What is in no table is for nobody.

use std::fmt;
use std::sync::Arc;

use actix_web::HttpMessage;
use actix_web::dev::ServiceRequest;
use actix_web::http::Method;
use actix_web::http::header::AUTHORIZATION;
use tokio_util::sync::CancellationToken;

use super::guest::GUEST;
use super::{Action, AuthConfig, Caller, GuestLinks, Keys, Refused, Sees, Token, Verifier};
use crate::Pool;
use crate::http::Problem;

/// Who may use a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// Everybody, without a token too, and everything there is for everybody's eyes.
    Anybody,
    /// Whoever has no account, where guests are taken.
    Visitor,
    /// Whoever has the link to the order, for this order.
    Guest,
    /// A customer, for what is theirs.
    Customer,
    /// The shop's staff.
    Staff,
    /// Its operators.
    Operator,
    /// A machine with this scope.
    Machine(&'static str),
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Anybody => f.write_str("anybody"),
            Self::Visitor => f.write_str("guests"),
            Self::Guest => f.write_str("whoever has the order's link"),
            Self::Customer => f.write_str("its customer"),
            Self::Staff => f.write_str("staff"),
            Self::Operator => f.write_str("operators"),
            Self::Machine(scope) => write!(f, "machines with the scope `{scope}`"),
        }
    }
}

/// A route and who may use it.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// `GET` counts for `HEAD` too.
    pub method: &'static str,
    /// As the router has it: `/api/v1/orders/{id}`.
    pub route: &'static str,
    /// Any of these.
    pub who: &'static [Who],
}

/// A service's access table.
#[derive(Clone, Copy, Debug)]
pub struct Access(pub &'static [Rule]);

/// What every service has, for operators.
const ACTIONS: &str = "/api/v1/actions";
/// What every service has, for anybody.
const COMMON: &[&str] = &["/healthz", "/readyz", "/metrics", "/openapi.json", "/docs"];

impl Access {
    /// Who may use this route; nobody if the table doesn't have it.
    pub fn of(self, method: &str, route: &str) -> &'static [Who] {
        if method == "GET" && COMMON.contains(&route) {
            return &[Who::Anybody];
        }
        if (method, route) == ("GET", ACTIONS) {
            return &[Who::Operator];
        }
        let found = self.0.iter().find(|rule| rule.method == method && rule.route == route);
        found.map_or(&[], |rule| rule.who)
    }

    /// Says which methods the table has for the route; it is nobody's if it has none.
    fn method_not_allowed(self, method: &Method, route: &str) -> Problem {
        let common = COMMON.iter().chain([&ACTIONS]).filter(|known| **known == route).map(|_| "GET");
        let own = self.0.iter().filter(|rule| rule.route == route).map(|rule| rule.method);
        let methods: Vec<_> = common.chain(own).collect();
        if methods.is_empty() {
            return Problem::forbidden("Nobody may do this: it is in no access table.");
        }
        Problem::method_not_allowed(format!("{method} is not allowed here.")).allowing(&methods.join(", "))
    }
}

/// Goes with a request to a service that asks nobody who they are, and says so in its document.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TokensNotAsked;

/// Lets requests in, or refuses them.
#[derive(Clone, Debug)]
pub struct Guard {
    /// Without one, every route is for everybody.
    access: Option<Access>,
    proof: Proof,
    guests: Option<GuestLinks>,
    /// The database with the record of what staff and operators change.
    actions: Option<Pool>,
}

#[derive(Clone, Debug)]
enum Proof {
    /// Nobody is asked who they are.
    NotAsked,
    /// Shared by all requests.
    Token(Arc<Verifier>),
}

impl Guard {
    /// Lets everybody do everything, for programs that check their callers themselves or have nothing to hide.
    pub const fn for_everybody() -> Self {
        Self { access: None, proof: Proof::NotAsked, guests: None, actions: None }
    }

    /// Checks by this table the tokens of this issuer.
    ///
    /// # Errors
    /// The issuer's address is none.
    pub fn new(access: Access, config: &AuthConfig) -> anyhow::Result<Self> {
        let proof = match config {
            AuthConfig::Off => Proof::NotAsked,
            AuthConfig::By { issuer, audience, keys, roles_claim } => {
                let keys = Arc::new(Keys::new(keys.clone())?);
                let (issuer, audience) = (issuer.clone(), audience.clone());
                Proof::Token(Arc::new(Verifier::new(keys, issuer, audience, roles_claim.clone())))
            }
        };
        Ok(Self { access: Some(access), proof, guests: None, actions: None })
    }

    /// Accepts guests' tokens, too.
    #[must_use]
    pub fn with_guests(self, guests: GuestLinks) -> Self {
        Self { guests: Some(guests), ..self }
    }

    /// Puts on record here what staff and operators change.
    #[must_use]
    pub fn recording(self, actions: Pool) -> Self {
        Self { actions: Some(actions), ..self }
    }

    /// An unknown key makes the issuer be asked this often, in milliseconds.
    #[cfg(feature = "testing")]
    #[must_use]
    pub fn asking_every(self, milliseconds: u64) -> Self {
        if let Proof::Token(verifier) = &self.proof {
            verifier.keys().ask_every(milliseconds);
        }
        self
    }

    /// Keeps the issuer's keys up to date until told to stop.
    pub async fn run(self, stop: CancellationToken) {
        match &self.proof {
            Proof::NotAsked => stop.cancelled().await,
            Proof::Token(verifier) => verifier.keys().run(stop).await,
        }
    }

    /// Why tokens can't be checked, if they can't.
    ///
    /// # Errors
    /// No key of the issuer is known.
    pub fn is_able(&self) -> Result<(), String> {
        match &self.proof {
            Proof::NotAsked => Ok(()),
            Proof::Token(verifier) => verifier.is_able(),
        }
    }

    /// Finds out who sends the request, for its handler, and puts on record what staff and operators change.
    ///
    /// # Errors
    /// They may not: 401 if it isn't known who they are, 403 if it is; 404 and 405 for what is in no table.
    pub(crate) async fn admit(&self, request: &ServiceRequest) -> Result<Option<Action>, Problem> {
        if request.method() == Method::OPTIONS {
            return Ok(None);
        }
        let caller = self.caller(request).await?;
        if self.access.is_some() && matches!(self.proof, Proof::NotAsked) {
            request.extensions_mut().insert(TokensNotAsked);
        }
        let action = match &self.actions {
            Some(pool) => Action::begin(pool, request, &caller).await?,
            None => None,
        };
        request.extensions_mut().insert(caller);
        Ok(action)
    }

    async fn caller(&self, request: &ServiceRequest) -> Result<Caller, Problem> {
        let Some(access) = self.access else { return Ok(Caller::everybody()) };
        // The router compares what is decoded, so /product%73 is /products.
        let path = request.match_info().as_str();
        let Some(route) = request.resource_map().match_pattern(path) else {
            return Err(Problem::not_found(format!("There is nothing at {}.", request.path())));
        };
        let who = access.of(request.method().as_str(), &route);
        if who.is_empty() {
            return Err(access.method_not_allowed(request.method(), &route));
        }
        match &self.proof {
            Proof::Token(verifier) if !who.contains(&Who::Anybody) => self.known(verifier, who, request).await,
            Proof::Token(..) | Proof::NotAsked => Ok(Caller::everybody()),
        }
    }

    async fn known(&self, verifier: &Verifier, who: &[Who], request: &ServiceRequest) -> Result<Caller, Problem> {
        let takes_guests = self.guests.is_some() && who.contains(&Who::Visitor);
        let Some(proof) = given(request)? else {
            return match takes_guests {
                true => Ok(Caller::of(Sees::Nothing)),
                false => Err(Problem::unauthorized("This needs a token: Authorization: Bearer ...", None)),
            };
        };
        if GuestLinks::is_one(&proof) {
            let order = self.guests.as_ref().and_then(|guests| guests.check(&proof));
            let order = order.ok_or_else(|| no(Refused::Invalid))?;
            return match who.contains(&Who::Guest) {
                true => Ok(Caller::of(Sees::Order(order))),
                false => Err(Problem::forbidden("A guest's link shows and cancels one order.")),
            };
        }
        let token = verifier.check(&proof).await.map_err(no)?;
        let sees = sees(who, &token).ok_or_else(|| Problem::forbidden(missing(who)))?;
        let roles = [(Who::Staff, "staff"), (Who::Operator, "operator")];
        let acts = |(one, role): &(Who, &str)| who.contains(one) && token.has(role);
        let acts_as = roles.into_iter().find(acts).map(|(_, role)| role);
        Ok(Caller { sees, acts_as, sub: Some(token.sub), good_for: Some(token.good_for) })
    }
}

/// What a token shows on a route for these; none if it is for none of them. A scope makes a machine of nobody who has a role:
/// people's programs may ask for scopes, too.
fn sees(who: &[Who], token: &Token) -> Option<Sees> {
    let is_machine = !["customer", "staff", "operator"].iter().any(|role| token.has(role));
    let (mut everything, mut own) = (false, false);
    for one in who {
        match one {
            Who::Anybody => everything = true,
            Who::Visitor | Who::Guest => {}
            // no account may take what is a guest's
            Who::Customer => own |= token.has("customer") && !token.sub.starts_with(GUEST),
            Who::Staff => everything |= token.has("staff"),
            Who::Operator => everything |= token.has("operator"),
            Who::Machine(scope) => everything |= is_machine && token.scopes.iter().any(|known| known == scope),
        }
    }
    match (everything, own) {
        (true, _) => Some(Sees::Everything),
        (_, true) => Some(Sees::Customer(token.sub.clone())),
        _ => None,
    }
}

fn missing(who: &[Who]) -> String {
    let names = who.iter().filter_map(|one| match one {
        Who::Customer => Some("the role customer".to_owned()),
        Who::Staff => Some("the role staff".to_owned()),
        Who::Operator => Some("the role operator".to_owned()),
        Who::Machine(scope) => Some(format!("the scope {scope}")),
        Who::Anybody | Who::Visitor | Who::Guest => None,
    });
    format!("This needs {}.", names.collect::<Vec<_>>().join(" or "))
}

fn no(refused: Refused) -> Problem {
    match refused {
        Refused::NoKeys => Problem::unavailable(refused.to_string()),
        refused => Problem::unauthorized(refused.to_string(), Some("invalid_token")),
    }
}

/// The token that came with the request (RFC 6750, 2.1), or a guest's in the link.
fn given(request: &ServiceRequest) -> Result<Option<String>, Problem> {
    let mut headers = request.headers().get_all(AUTHORIZATION);
    let Some(header) = headers.next() else {
        let in_link =
            |pair: &str| pair.strip_prefix("token=").filter(|token| GuestLinks::is_one(token)).map(str::to_owned);
        return Ok(request.query_string().split('&').find_map(in_link));
    };
    let only = headers.next().is_none();
    let text = header.to_str().ok().and_then(|text| text.split_once(' '));
    match text.filter(|(scheme, _)| only && scheme.eq_ignore_ascii_case("bearer")) {
        Some((_, token)) if !token.trim().is_empty() => Ok(Some(token.trim().to_owned())),
        _ => Err(Problem::unauthorized("Authorization must be one header: Bearer and a token.", Some("invalid_token"))),
    }
}

/// What the service's document has and the table lacks, and the other way round.
///
/// # Errors
/// There is something.
#[cfg(feature = "testing")]
pub fn must_match(access: Access, operations: &[(String, String)]) -> anyhow::Result<()> {
    let is_routed =
        |rule: &&Rule| operations.iter().any(|(method, route)| rule.method == method && rule.route == route);
    let lacking: Vec<_> = operations.iter().filter(|(method, route)| access.of(method, route).is_empty()).collect();
    let idle: Vec<_> = access.0.iter().filter(|rule| !is_routed(rule)).map(|rule| (rule.method, rule.route)).collect();
    anyhow::ensure!(lacking.is_empty() && idle.is_empty(), "without a rule: {lacking:?}; without a route: {idle:?}");
    Ok(())
}
