#![expect(missing_docs, reason = "the migrations say what each column is")]

diesel::table! {
    orders (id) {
        id -> Uuid,
        customer_id -> Text,
        placed -> Jsonb,
        pieces -> BigInt,
        placed_at -> Timestamptz,
        facts -> Jsonb,
        stock_rank -> BigInt,
        payment_rank -> BigInt,
        shipment_rank -> BigInt,
        status -> Text,
        reason -> Nullable<Text>,
        version -> BigInt,
        said -> BigInt,
        updated_at -> Timestamptz,
        recorded -> BigInt,
        waiting_since -> Timestamptz,
    }
}

diesel::table! {
    redirections (order_id) {
        order_id -> Uuid,
        delivery_address -> Nullable<Jsonb>,
        asked -> Nullable<Jsonb>,
    }
}

diesel::joinable!(redirections -> orders (order_id));
diesel::allow_tables_to_appear_in_same_query!(orders, redirections);

diesel::table! {
    order_history (order_id, position) {
        order_id -> Uuid,
        position -> BigInt,
        event_id -> Uuid,
        event_type -> Text,
        source -> Text,
        event_time -> Timestamptz,
        because_of -> Nullable<Uuid>,
        status_before -> Nullable<Text>,
        status -> Text,
        reason -> Nullable<Text>,
        ignored -> Nullable<Text>,
        recorded_at -> Timestamptz,
        written_by -> BigInt,
    }
}

diesel::table! {
    products (sku) {
        sku -> Text,
        sequence -> BigInt,
        name -> Text,
        price -> BigInt,
        currency -> Text,
        status -> Text,
    }
}

diesel::table! {
    customers (id) {
        id -> Text,
        profile -> Nullable<Jsonb>,
        version -> BigInt,
        last_sequence -> BigInt,
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    idempotency_keys (key) {
        key -> Text,
        request -> Bytea,
        order_id -> Uuid,
        location -> Text,
        body -> Bytea,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    catalogue_read (once) {
        once -> Bool,
        read_at -> Timestamptz,
    }
}
