use diesel_async::AsyncPgConnection;
use service_kit::consumer::{Handled, Incoming, ReactionError};
use shared_events::{Event, StockRestocked};

use crate::{
    domain::{Fact, Templates},
    store::roots,
};

/// Tells that a part of the order will not be sent, whoever called it off.
pub(super) async fn tell(
    conn: &mut AsyncPgConnection,
    templates: &Templates,
    incoming: &Incoming<Event>,
    restocked: &StockRestocked,
) -> Result<Handled, ReactionError> {
    let names = roots::line_names(conn, restocked.order_id).await?;
    let fact = Fact::from(restocked).named(&names);
    super::tell::tell(conn, templates, incoming, restocked.order_id, fact).await
}
