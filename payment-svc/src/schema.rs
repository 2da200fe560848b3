#![allow(missing_docs, reason = "names of columns; the migration explains them")]

diesel::table! {
    payments (order_id) {
        order_id -> Uuid,
        payment_id -> Uuid,
        state -> Text,
        amount -> Nullable<BigInt>,
        currency -> Nullable<Text>,
        deadline -> Nullable<Timestamptz>,
        expired -> Bool,
        void_requested -> Bool,
        unanswered -> Bool,
        intent -> Nullable<Text>,
        failure_code -> Nullable<Text>,
        attempts -> Integer,
        captured -> BigInt,
        refunded -> BigInt,
        said -> BigInt,
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    charges (order_id) {
        order_id -> Uuid,
        method -> Text,
        lines -> Jsonb,
        customer_id -> Nullable<Text>,
    }
}

diesel::table! {
    refunds (refund_id) {
        refund_id -> Uuid,
        seq -> BigInt,
        payment_id -> Uuid,
        amount -> BigInt,
        state -> Text,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
        reason -> Nullable<Text>,
        gateway_id -> Nullable<Text>,
        origin -> Text,
        wanted -> Nullable<BigInt>,
        refusals -> Integer,
        outside_reason -> Nullable<Text>,
        outside_reference -> Nullable<Text>,
        outside_at -> Nullable<Timestamptz>,
        actor -> Nullable<Text>,
    }
}

diesel::table! {
    gateway_calls (key) {
        key -> Text,
        payment_id -> Uuid,
        order_id -> Uuid,
        operation -> Text,
        refund_id -> Nullable<Uuid>,
        tries -> Integer,
        due_at -> Timestamptz,
        caused_by -> Nullable<Uuid>,
        traceparent -> Nullable<Text>,
        created_at -> Timestamptz,
        finished_at -> Nullable<Timestamptz>,
        outcome -> Nullable<Text>,
        leased_until -> Nullable<Timestamptz>,
        error_code -> Nullable<Text>,
        error -> Nullable<Text>,
        failing_since -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    webhook_events (event_id) {
        event_id -> Text,
        #[sql_name = "type"]
        type_ -> Text,
        intent -> Nullable<Text>,
        outcome -> Text,
        received_at -> Timestamptz,
    }
}

diesel::table! {
    ledger (id) {
        id -> BigInt,
        payment_id -> Uuid,
        operation -> Text,
        amount -> BigInt,
        currency -> Text,
        key -> Text,
        at -> Timestamptz,
        debit -> Text,
        credit -> Text,
    }
}

diesel::allow_tables_to_appear_in_same_query!(payments, charges);
