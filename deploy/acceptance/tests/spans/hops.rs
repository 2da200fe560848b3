//! The hops of each story, with how often they come. Each event that is sent has waited in the outbox, each that is handled in
//! Kafka, and each call until it was made and until its outcome was recorded: those waits are checked by rule.

/// Placed, confirmed, dispatched, delivered.
pub const PLACED: &str = "
    4 notification-svc: mail send
    1 notification-svc: process orders.v1 order.confirmed.v1
    1 notification-svc: process orders.v1 order.placed.v1
    1 notification-svc: process shipments.v1 shipment.delivered.v1
    1 notification-svc: process shipments.v1 shipment.dispatched.v1
    4 notification-svc: send notifications.v1 notification.sent.v1
    1 order-svc: POST /api/v1/orders
    1 order-svc: process payments.v1 payment.authorized.v1
    1 order-svc: process payments.v1 payment.captured.v1
    1 order-svc: process shipments.v1 shipment.created.v1
    1 order-svc: process shipments.v1 shipment.delivered.v1
    1 order-svc: process shipments.v1 shipment.dispatched.v1
    1 order-svc: process stock.v1 stock.committed.v1
    1 order-svc: process stock.v1 stock.reserved.v1
    1 order-svc: send orders.v1 order.completed.v1
    1 order-svc: send orders.v1 order.confirmed.v1
    1 order-svc: send orders.v1 order.placed.v1
    1 payment-svc: gateway authorise
    1 payment-svc: gateway capture
    1 payment-svc: process orders.v1 order.confirmed.v1
    1 payment-svc: process orders.v1 order.placed.v1
    1 payment-svc: process stock.v1 stock.reserved.v1
    1 payment-svc: send payments.v1 payment.authorized.v1
    1 payment-svc: send payments.v1 payment.captured.v1
    1 stock-svc: POST /api/v1/shipments/{id}/deliver
    1 stock-svc: POST /api/v1/shipments/{id}/dispatch
    1 stock-svc: process orders.v1 order.confirmed.v1
    1 stock-svc: process orders.v1 order.placed.v1
    1 stock-svc: process payments.v1 payment.captured.v1
    1 stock-svc: send shipments.v1 shipment.created.v1
    1 stock-svc: send shipments.v1 shipment.delivered.v1
    1 stock-svc: send shipments.v1 shipment.dispatched.v1
    1 stock-svc: send stock.v1 stock.committed.v1
    1 stock-svc: send stock.v1 stock.reserved.v1
";

pub const DECLINED: &str = "
    2 notification-svc: mail send
    1 notification-svc: process orders.v1 order.cancelled.v1
    1 notification-svc: process orders.v1 order.placed.v1
    2 notification-svc: send notifications.v1 notification.sent.v1
    1 order-svc: POST /api/v1/orders
    1 order-svc: process payments.v1 payment.declined.v1
    1 order-svc: process stock.v1 stock.released.v1
    1 order-svc: process stock.v1 stock.reserved.v1
    1 order-svc: send orders.v1 order.cancelled.v1
    1 order-svc: send orders.v1 order.placed.v1
    1 payment-svc: gateway authorise
    1 payment-svc: process orders.v1 order.placed.v1
    1 payment-svc: process stock.v1 stock.released.v1
    1 payment-svc: process stock.v1 stock.reserved.v1
    1 payment-svc: send payments.v1 payment.declined.v1
    1 stock-svc: process orders.v1 order.placed.v1
    1 stock-svc: process payments.v1 payment.declined.v1
    1 stock-svc: send stock.v1 stock.released.v1
    1 stock-svc: send stock.v1 stock.reserved.v1
";

/// After it was paid.
pub const CANCELLED: &str = "
    4 notification-svc: mail send
    1 notification-svc: process orders.v1 order.cancel_requested.v1
    1 notification-svc: process orders.v1 order.cancelled.v1
    1 notification-svc: process orders.v1 order.confirmed.v1
    1 notification-svc: process orders.v1 order.placed.v1
    1 notification-svc: process payments.v1 payment.refunded.v1
    4 notification-svc: send notifications.v1 notification.sent.v1
    1 order-svc: POST /api/v1/orders
    1 order-svc: POST /api/v1/orders/{id}/cancel
    1 order-svc: process payments.v1 payment.authorized.v1
    1 order-svc: process payments.v1 payment.captured.v1
    1 order-svc: process payments.v1 payment.refunded.v1
    1 order-svc: process shipments.v1 shipment.cancelled.v1
    1 order-svc: process shipments.v1 shipment.created.v1
    1 order-svc: process stock.v1 stock.committed.v1
    1 order-svc: process stock.v1 stock.reserved.v1
    1 order-svc: process stock.v1 stock.restocked.v1
    1 order-svc: send orders.v1 order.cancel_requested.v1
    1 order-svc: send orders.v1 order.cancelled.v1
    1 order-svc: send orders.v1 order.confirmed.v1
    1 order-svc: send orders.v1 order.placed.v1
    1 payment-svc: gateway authorise
    1 payment-svc: gateway capture
    1 payment-svc: gateway refund
    1 payment-svc: process orders.v1 order.confirmed.v1
    1 payment-svc: process orders.v1 order.placed.v1
    1 payment-svc: process stock.v1 stock.reserved.v1
    1 payment-svc: process stock.v1 stock.restocked.v1
    1 payment-svc: send payments.v1 payment.authorized.v1
    1 payment-svc: send payments.v1 payment.captured.v1
    1 payment-svc: send payments.v1 payment.refunded.v1
    1 stock-svc: process orders.v1 order.cancel_requested.v1
    1 stock-svc: process orders.v1 order.confirmed.v1
    1 stock-svc: process orders.v1 order.placed.v1
    1 stock-svc: process payments.v1 payment.captured.v1
    1 stock-svc: send shipments.v1 shipment.cancelled.v1
    1 stock-svc: send shipments.v1 shipment.created.v1
    1 stock-svc: send stock.v1 stock.committed.v1
    1 stock-svc: send stock.v1 stock.reserved.v1
    1 stock-svc: send stock.v1 stock.restocked.v1
";

/// Until its parcel is made.
pub const REDELIVERED: &str = "
    2 notification-svc: mail send
    1 notification-svc: process orders.v1 order.confirmed.v1
    1 notification-svc: process orders.v1 order.placed.v1
    2 notification-svc: send notifications.v1 notification.sent.v1
    1 order-svc: POST /api/v1/orders
    1 order-svc: process payments.v1 payment.authorized.v1
    1 order-svc: process payments.v1 payment.captured.v1
    1 order-svc: process shipments.v1 shipment.created.v1
    1 order-svc: process stock.v1 stock.committed.v1
    1 order-svc: process stock.v1 stock.reserved.v1
    1 order-svc: send orders.v1 order.confirmed.v1
    1 order-svc: send orders.v1 order.placed.v1
    1 payment-svc: gateway authorise
    1 payment-svc: gateway capture
    1 payment-svc: process orders.v1 order.confirmed.v1
    1 payment-svc: process orders.v1 order.placed.v1
    1 payment-svc: process stock.v1 stock.reserved.v1
    1 payment-svc: send payments.v1 payment.authorized.v1
    1 payment-svc: send payments.v1 payment.captured.v1
    1 stock-svc: process orders.v1 order.confirmed.v1
    1 stock-svc: process orders.v1 order.placed.v1
    1 stock-svc: process payments.v1 payment.captured.v1
    1 stock-svc: send shipments.v1 shipment.created.v1
    1 stock-svc: send stock.v1 stock.committed.v1
    1 stock-svc: send stock.v1 stock.reserved.v1
";

/// The same, but for the dead letter that stock-svc made first.
pub const REPLAYED: &str = "
    2 notification-svc: mail send
    1 notification-svc: process orders.v1 order.confirmed.v1
    1 notification-svc: process orders.v1 order.placed.v1
    2 notification-svc: send notifications.v1 notification.sent.v1
    1 order-svc: POST /api/v1/orders
    1 order-svc: process payments.v1 payment.authorized.v1
    1 order-svc: process payments.v1 payment.captured.v1
    1 order-svc: process shipments.v1 shipment.created.v1
    1 order-svc: process stock.v1 stock.committed.v1
    1 order-svc: process stock.v1 stock.reserved.v1
    1 order-svc: send orders.v1 order.confirmed.v1
    1 order-svc: send orders.v1 order.placed.v1
    1 payment-svc: gateway authorise
    1 payment-svc: gateway capture
    1 payment-svc: process orders.v1 order.confirmed.v1
    1 payment-svc: process orders.v1 order.placed.v1
    1 payment-svc: process stock.v1 stock.reserved.v1
    1 payment-svc: send payments.v1 payment.authorized.v1
    1 payment-svc: send payments.v1 payment.captured.v1
    1 stock-svc: process orders.v1 order.confirmed.v1
    2 stock-svc: process orders.v1 order.placed.v1
    1 stock-svc: process payments.v1 payment.captured.v1
    1 stock-svc: send shipments.v1 shipment.created.v1
    1 stock-svc: send stock-svc.dlq order.placed.v1
    1 stock-svc: send stock.v1 stock.committed.v1
    1 stock-svc: send stock.v1 stock.reserved.v1
";
