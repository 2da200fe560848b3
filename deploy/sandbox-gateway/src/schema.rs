diesel::table! {
    payment_intents (id) {
        id -> Text,
        amount -> BigInt,
        currency -> Text,
        payment_method -> Nullable<Text>,
        metadata -> Jsonb,
        status -> Text,
        received -> BigInt,
        refunded -> BigInt,
        last_payment_error -> Nullable<Jsonb>,
        confirmed_by -> Nullable<Text>,
        attempts -> Integer,
        was_authorised -> Bool,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    refunds (id) {
        id -> Text,
        seq -> BigInt,
        payment_intent -> Text,
        amount -> BigInt,
        currency -> Text,
        metadata -> Jsonb,
        created_at -> Timestamptz,
        failure_reason -> Nullable<Text>,
    }
}

diesel::table! {
    journal (id) {
        id -> BigInt,
        payment_intent -> Text,
        operation -> Text,
        amount -> BigInt,
        currency -> Text,
        order_id -> Nullable<Text>,
        idempotency_key -> Nullable<Text>,
        at -> Timestamptz,
    }
}

diesel::table! {
    disputes (id) {
        id -> Text,
        seq -> BigInt,
        payment_intent -> Text,
        amount -> BigInt,
        currency -> Text,
        reason -> Text,
        status -> Text,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    faults (the_one) {
        the_one -> Bool,
        switched -> Jsonb,
    }
}

diesel::table! {
    idempotency_keys (key) {
        key -> Text,
        path -> Text,
        parameters -> Jsonb,
        status -> Integer,
        body -> Jsonb,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    messages (id) {
        id -> BigInt,
        channel -> Text,
        recipient -> Text,
        title -> Nullable<Text>,
        body -> Text,
        data -> Jsonb,
        received_at -> Timestamptz,
    }
}
