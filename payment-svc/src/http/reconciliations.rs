use actix_web::{HttpResponse, web::Data};
use chrono::{DateTime, Datelike, Days, NaiveDate, NaiveTime, SecondsFormat, SubsecRound, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use service_kit::http::{Cursor, Path, Problem, Query};
use shared_events::{Currency, Money};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::{AppState, payments::money};
use crate::reconcile::day::{self, DayPart, Movement, Side, State};

/// The years in which money can have moved.
const YEARS: std::ops::RangeInclusive<i32> = 2000..=2200;

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct DayQuery {
    /// Only what moved in this currency.
    #[param(inline)]
    currency: Option<Currency>,
    /// The `next_cursor` of the previous answer.
    #[param(value_type = Option<DateTime<Utc>>)]
    cursor: Option<Cursor<DateTime<Utc>>>,
}

/// A part of a day: all that moved from `from` to before `until`.
#[derive(Serialize, ToSchema)]
#[schema(as = Reconciliation, example = json!(super::examples::reconciliation()))]
pub(super) struct DayView {
    day: NaiveDate,
    from: DateTime<Utc>,
    until: DateTime<Utc>,
    /// Why the gateway's side is missing; null where it is there.
    trouble: Option<&'static str>,
    /// The latest first.
    items: Vec<MovementView>,
    /// The cursor of the part before this one; null once all of the day was shown.
    #[schema(required)]
    next_cursor: Option<String>,
}

/// Captured money that came or went.
#[derive(Serialize, ToSchema)]
#[schema(as = Movement)]
pub(super) struct MovementView {
    /// Null of money at the gateway that no payment has.
    order_id: Option<Uuid>,
    payment_id: Option<Uuid>,
    payment_intent: Option<String>,
    /// `capture`, `refund`, `refund_reversal` (a refund that failed later, or a dispute that was won), or `refund_outside`,
    /// which was made past the gateway.
    operation: &'static str,
    refund_id: Option<Uuid>,
    /// The gateway's name for the charge, the refund or the dispute.
    gateway_id: Option<String>,
    currency: String,
    #[schema(value_type = Option<Money>)]
    ledger: Value,
    /// When the ledger entered it.
    booked_at: Option<DateTime<Utc>>,
    /// All that the ledger has ever given back by this refund, past the gateway too.
    #[schema(value_type = Money)]
    given_back: Value,
    #[schema(value_type = Option<Money>)]
    gateway: Value,
    /// When the gateway made it, by its own clock.
    made_at: Option<DateTime<Utc>>,
    state: StateView,
}

#[derive(Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = MovementState)]
enum StateView {
    Same,
    Different,
    /// They differ, but an answer of the gateway is awaited.
    UnderWay,
    /// The gateway could not be asked for it.
    Unchecked,
    /// The gateway knows nothing of it, and need not.
    Outside,
}

impl From<State> for StateView {
    fn from(state: State) -> Self {
        match state {
            State::Same => Self::Same,
            State::Different => Self::Different,
            State::UnderWay => Self::UnderWay,
            State::Unchecked => Self::Unchecked,
            State::Outside => Self::Outside,
        }
    }
}

impl From<Movement> for MovementView {
    fn from(movement: Movement) -> Self {
        let Movement { whose, intent, operation, refund, gateway_id, currency, ledger, given_back, gateway, state } =
            movement;
        let amount = |side: Option<Side>| json!(side.map(|side| money(side.amount, &currency)));
        Self {
            order_id: whose.as_ref().map(|whose| whose.order),
            payment_id: whose.as_ref().map(|whose| whose.payment),
            payment_intent: intent,
            operation: operation.name(),
            refund_id: refund.map(|refund| refund.0),
            gateway_id,
            ledger: amount(ledger),
            booked_at: ledger.map(|side| side.at),
            given_back: money(given_back, &currency),
            gateway: amount(gateway),
            made_at: gateway.map(|side| side.at),
            state: state.into(),
            currency,
        }
    }
}

/// A day of captured money (UTC), as the ledger and the gateway have it
///
/// What was captured, given back and came back, movement by movement, each with both amounts. A movement is of the time at which
/// the gateway made it, or, where the gateway has none, at which the ledger entered it. A large day comes in parts, the latest
/// first; the gateway is asked for each part, within a few seconds.
#[utoipa::path(
    get, path = "/api/v1/reconciliations/{day}", tag = "reconciliations", operation_id = "get_reconciliation",
    params(("day" = NaiveDate, Path, description = "The day, such as 2026-07-14."), DayQuery),
    responses((status = 200, description = "A part of the day.", body = DayView))
)]
pub async fn show(
    state: Data<AppState>,
    day: Path<NaiveDate>,
    query: Query<DayQuery>,
) -> Result<HttpResponse, Problem> {
    let (Path(day), Query(DayQuery { currency, cursor })) = (day, query);
    let Some((begins, ends)) = bounds(day) else {
        return Err(Problem::not_found(format!("There is no day {day} of money; expected one such as 2026-07-14.")));
    };
    let until = cursor.map_or(ends, |Cursor(until)| until);
    if until <= begins || until > ends || until != until.trunc_subsecs(0) {
        let why = format!("It is not one that this day has given as next_cursor: {}.", written(until));
        return Err(Problem::bad_input("cursor", why));
    }
    let part = day::compare(&state.pool, &*state.gateway, begins, until).await.map_err(|error| {
        tracing::warn!(error = format!("{error:#}"), "a day can't be compared");
        Problem::unavailable("The database can't do this now.")
    })?;
    let DayPart { from, movements, trouble } = part;
    let fits = |movement: &Movement| currency.is_none_or(|currency| movement.currency == currency.code());
    let items = movements.into_iter().filter(fits).map(MovementView::from).collect();
    let next_cursor = (from > begins).then(|| written(from));
    Ok(HttpResponse::Ok().json(DayView { day, from, until, trouble, items, next_cursor }))
}

fn bounds(day: NaiveDate) -> Option<(DateTime<Utc>, DateTime<Utc>)> {
    let begins = day.and_time(NaiveTime::MIN).and_utc();
    YEARS.contains(&day.year()).then_some((begins, begins.checked_add_days(Days::new(1))?))
}

fn written(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}
