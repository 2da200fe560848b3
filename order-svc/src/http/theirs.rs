use std::pin::Pin;

use actix_web::dev::Payload;
use actix_web::web::Data;
use actix_web::{FromRequest, HttpRequest};
use service_kit::auth::{Caller, Sees};
use service_kit::http::{Path, Problem};
use shared_events::OrderId;
use uuid::Uuid;

use super::{AppState, problem};
use crate::store;

/// An order that the caller may see, from the path. For whoever may not it doesn't exist. A guest's link shows nothing once
/// the guest was forgotten.
pub struct Theirs(pub OrderId);

impl FromRequest for Theirs {
    type Error = Problem;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Problem>>>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move {
            let (id, caller) = (Path::<Uuid>::extract(&request).await?.0, Caller::extract(&request).await?);
            if may_see(&request, &caller, id).await? { Ok(Self(OrderId(id))) } else { Err(problem::no_order(id)) }
        })
    }
}

async fn may_see(request: &HttpRequest, caller: &Caller, id: Uuid) -> Result<bool, Problem> {
    let is_customer = match caller.sees() {
        Sees::Customer(_) => true,
        Sees::Order(own) if *own == id => false,
        Sees::Everything | Sees::Order(_) | Sees::Nothing => return Ok(caller.may_see(id, None)),
    };
    let state = Data::<AppState>::extract(request).await.map_err(Problem::internal)?;
    let conn = state.pool.get().await?;
    if is_customer {
        return Ok(caller.may_see(id, store::orders::customer_of(&conn, OrderId(id)).await?.as_deref()));
    }
    Ok(!store::forgetting::is_forgotten(&conn, OrderId(id)).await?)
}
