//! One event of each type, with the same content as its golden file; the tests compare with these.

use chrono::{DateTime, Utc};
use shared_events::*;
use uuid::{Uuid, uuid};

pub const ORDER: OrderId = OrderId(uuid!("01980a10-7c00-7000-8000-0000000000a1"));
const PAYMENT: PaymentId = PaymentId(uuid!("01980a10-7c00-7000-8000-0000000000b1"));
const REFUND: RefundId = RefundId(uuid!("01980a10-7c00-7000-8000-0000000000c1"));
const SHIPMENT: ShipmentId = ShipmentId(uuid!("01980a10-7c00-7000-8000-0000000000d1"));
const NOTIFICATION: NotificationId = NotificationId(uuid!("01980a10-7c00-7000-8000-0000000000e1"));
pub const CAUSE: Uuid = uuid!("01980a10-7c00-7000-8000-0000000000f1");

pub fn eur(amount: i64) -> Money {
    Money::new(amount, Currency::EUR).unwrap()
}

pub fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn line(text: &str) -> LineText {
    text.parse().unwrap()
}

fn tea() -> Sku {
    "TEA-EARL-GREY-250".parse().unwrap()
}

fn ann() -> CustomerId {
    "c-1001".parse().unwrap()
}

fn two() -> Quantity {
    Quantity::try_from(2).unwrap()
}

fn stock_lines() -> Vec<StockLine> {
    vec![StockLine { sku: tea(), quantity: two() }]
}

/// All samples, in the order of [`Event::types`].
pub fn events() -> Vec<Event> {
    [orders(), stock(), payments(), shipments(), others(), customers()].concat()
}

fn orders() -> Vec<Event> {
    vec![
        placed().into(),
        OrderConfirmed { order_id: ORDER }.into(),
        OrderCancelRequested { order_id: ORDER, reason: CancelReason::Customer }.into(),
        OrderCancelRefused { order_id: ORDER, reason: CancelRefusedReason::Dispatched }.into(),
        OrderCancelled {
            shortages: vec![Shortage { sku: tea(), requested: two(), available: 1 }],
            payment_code: Some("insufficient_funds".to_owned()),
            ..OrderCancelled::new(ORDER, CancelReason::PaymentDeclined)
        }
        .into(),
        OrderCallOffRequested { order_id: ORDER }.into(),
        OrderCallOffRefused { order_id: ORDER, reason: CancelRefusedReason::Dispatched }.into(),
        OrderAddressChangeRequested { order_id: ORDER, delivery_address: address("2 Quay St", Some("c/o Lee")) }.into(),
        OrderAddressChanged { order_id: ORDER, delivery_address: address("2 Quay St", Some("c/o Lee")) }.into(),
        OrderAddressChangeRefused {
            order_id: ORDER,
            reason: AddressRefusedReason::Dispatched,
            shipments: vec![SHIPMENT],
        }
        .into(),
        OrderCompleted { order_id: ORDER }.into(),
        OrderForgotten { order_id: ORDER, customer_id: ann() }.into(),
    ]
}

fn address(line1: &str, line2: Option<&str>) -> Address {
    Address {
        line1: line(line1),
        line2: line2.map(line),
        city: line("Cork"),
        postal_code: line("T12"),
        country: CountryCode::try_from("IE".to_owned()).unwrap(),
    }
}

fn placed() -> OrderPlaced {
    OrderPlaced {
        order_id: ORDER,
        customer: Customer { id: ann(), name: line("Ann Lee"), email: "ann@example.com".parse().unwrap() },
        delivery_address: address("1 Quay St", None),
        lines: vec![OrderLine { sku: tea(), name: line("Earl Grey, 250 g"), quantity: two(), unit_price: eur(1299) }],
        total: eur(2598),
        payment_method: "pm_card_visa".parse().unwrap(),
        deadline: at("2026-07-14T09:50:00Z"),
    }
}

fn stock() -> Vec<Event> {
    let short = Shortage { sku: tea(), requested: two(), available: 1 };
    vec![
        StockReserved { order_id: ORDER, expires_at: at("2026-07-14T09:45:00Z") }.into(),
        StockRejected { order_id: ORDER, rejection: Rejection::Shortages { lines: vec![short] } }.into(),
        StockCommitted { order_id: ORDER }.into(),
        StockReleased { order_id: ORDER, reason: CancelReason::Timeout }.into(),
        StockExpired { order_id: ORDER }.into(),
        StockRestocked { order_id: ORDER, cause: RestockCause::Cancelled, lines: stock_lines() }.into(),
        StockAddressDecided { order_id: ORDER, taken: true, kept: vec![SHIPMENT] }.into(),
    ]
}

fn payments() -> Vec<Event> {
    let (order_id, payment_id, refund_id) = (ORDER, PAYMENT, REFUND);
    vec![
        PaymentAuthorized { order_id, payment_id, amount: eur(2598) }.into(),
        PaymentDeclined { order_id, payment_id, code: "insufficient_funds".to_owned(), retryable: false }.into(),
        PaymentActionRequired {
            order_id,
            payment_id,
            deadline: Some(at("2026-07-14T09:44:00Z")),
            url: Some("https://bank.example.com/3ds".to_owned()),
        }
        .into(),
        PaymentCaptured { order_id, payment_id, amount: eur(2598) }.into(),
        PaymentCaptureFailed { order_id, payment_id, code: "charge_expired_for_capture".to_owned() }.into(),
        PaymentVoided { order_id, payment_id, amount: eur(0) }.into(),
        PaymentRefunded { order_id, payment_id, refund_id, amount: eur(1299), remaining: eur(1299) }.into(),
        PaymentRefundFailed { order_id, payment_id, refund_id, amount: eur(1299), code: "charge_disputed".to_owned() }
            .into(),
        PaymentUnknown { order_id, payment_id, operation: GatewayOperation::Authorise }.into(),
    ]
}

fn shipments() -> Vec<Event> {
    let (order_id, shipment_id) = (ORDER, SHIPMENT);
    let (carrier, tracking_number) = (line("An Post"), line("CE123456789IE"));
    vec![
        ShipmentCreated { order_id, shipment_id, lines: stock_lines() }.into(),
        ShipmentDispatched { order_id, shipment_id, carrier: carrier.clone(), tracking_number }.into(),
        ShipmentDelivered { order_id, shipment_id }.into(),
        ShipmentCancelled { order_id, shipment_id, split_into: vec![] }.into(),
        ShipmentReturned { order_id, shipment_id, lines: stock_lines() }.into(),
        ShipmentLost { order_id, shipment_id, lines: stock_lines() }.into(),
        ShipmentReaddressed { order_id, shipment_id }.into(),
        ShipmentTrackingCorrected {
            order_id,
            shipment_id,
            carrier,
            tracking_number: line("CE987654321IE"),
            previous_tracking_number: Some(line("CE123456789IE")),
        }
        .into(),
    ]
}

fn others() -> Vec<Event> {
    let (order_id, notification_id) = (ORDER, NOTIFICATION);
    let (template, channel) = ("order_confirmed".to_owned(), "email".to_owned());
    let state = |category: Option<&str>, status| ProductState {
        sku: tea(),
        name: line("Earl Grey, 250 g"),
        category: category.map(line),
        price: eur(1299),
        status,
        low_stock_mark: None,
    };
    vec![
        NotificationSent { order_id, notification_id, template: template.clone(), channel: channel.clone() }.into(),
        NotificationFailed {
            order_id,
            notification_id,
            template: template.clone(),
            channel: channel.clone(),
            error: "550 mailbox unavailable".to_owned(),
        }
        .into(),
        NotificationSuppressed { order_id, notification_id, template, channel, reason: SuppressReason::OrderEnding }
            .into(),
        ProductListed(state(Some("Tea"), ProductStatus::Active)).into(),
        ProductChanged(state(None, ProductStatus::Active)).into(),
        ProductWithdrawn(state(Some("Tea"), ProductStatus::Withdrawn)).into(),
        ProductStockLow {
            state: ProductState { low_stock_mark: Some(10), ..state(Some("Tea"), ProductStatus::Active) },
            available: 9,
        }
        .into(),
    ]
}

fn customers() -> Vec<Event> {
    let by = |channels: &[Channel]| Channels::try_from(channels.to_vec()).unwrap();
    vec![
        CustomerChanged {
            customer_id: ann(),
            name: line("Ann Lee"),
            email: "ann@example.com".parse().unwrap(),
            phone: Some("+353861234567".parse().unwrap()),
            push_token: Some("fcm-device-token".parse().unwrap()),
            delivery_address: Some(address("1 Quay St", None)),
            language: Language::De,
            messages: MessagePreferences::new(
                Channels::default(),
                by(&[]),
                by(&[Channel::Push, Channel::Email, Channel::Sms]),
            )
            .unwrap(),
        }
        .into(),
        CustomerForgotten { customer_id: ann() }.into(),
    ]
}
