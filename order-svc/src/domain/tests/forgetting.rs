use super::*;

fn forgets(order: Progress) -> Result<Transition, Refused> {
    order.forget("c-1001".parse().unwrap())
}

fn after(past: Vec<Happens>) -> Progress {
    past.iter().fold(placed(), |order, what| happens(order, what).unwrap().0)
}

#[test]
fn an_order_that_has_ended_is_forgotten_and_stays_as_it_is() {
    let arrived = vec![reserved(), authorized(), committed(), captured(), created(1, 2), dispatched(1), delivered(1)];
    for (past, status) in [
        (arrived, Status::Completed),
        (vec![Happens::CustomerCancels, released(), voided()], Status::Cancelled(CancelReason::Customer)),
        (vec![short()], Status::Cancelled(CancelReason::OutOfStock)),
    ] {
        let order = after(past);
        assert_eq!(order.status, status);
        let forgotten = OrderForgotten { order_id: id(), customer_id: "c-1001".parse().unwrap() };
        assert_eq!(forgets(order.clone()), Ok((order, vec![forgotten.into()])));
    }
}

#[test]
fn an_order_that_goes_on_is_not_forgotten() {
    for (past, status) in [
        (vec![], Status::Pending),
        (vec![reserved(), authorized()], Status::Confirmed),
        (vec![reserved(), authorized(), created(1, 1), created(2, 1), dispatched(1)], Status::PartiallyShipped),
        (vec![reserved(), authorized(), created(1, 2), dispatched(1)], Status::Shipped),
        (vec![Happens::CustomerCancels], Status::Cancelling(CancelReason::Customer)),
    ] {
        let order = after(past);
        assert_eq!(order.status, status);
        assert_eq!(forgets(order), Err(Refused::GoesOn(status)));
    }
}
