diesel::table! {
    categories (id) {
        id -> Uuid,
        name -> Text,
        description -> Text,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    products (sku) {
        sku -> Text,
        name -> Text,
        brand -> Nullable<Text>,
        description -> Text,
        category_id -> Nullable<Uuid>,
        price_amount -> BigInt,
        price_currency -> Text,
        status -> Text,
        products_said -> BigInt,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
        low_stock_mark -> Nullable<BigInt>,
        version -> BigInt,
    }
}

diesel::table! {
    stock_levels (sku) {
        sku -> Text,
        on_hand -> BigInt,
        held -> BigInt,
    }
}

diesel::table! {
    movements (id) {
        id -> BigInt,
        sku -> Text,
        kind -> Text,
        quantity -> BigInt,
        order_id -> Nullable<Uuid>,
        reason -> Nullable<Text>,
        at -> Timestamptz,
    }
}

diesel::table! {
    orders (order_id) {
        order_id -> Uuid,
        reservation -> Nullable<Text>,
        release_reason -> Nullable<Text>,
        expires_at -> Nullable<Timestamptz>,
        lines -> Jsonb,
        captured -> Bool,
        delivery_address -> Nullable<Jsonb>,
        address_rank -> BigInt,
        stock_said -> BigInt,
        shipments_said -> BigInt,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    shipments (id) {
        id -> Uuid,
        order_id -> Uuid,
        status -> Text,
        lines -> Jsonb,
        carrier -> Nullable<Text>,
        tracking_number -> Nullable<Text>,
        created_at -> Timestamptz,
        packed_at -> Nullable<Timestamptz>,
        dispatched_at -> Nullable<Timestamptz>,
        delivered_at -> Nullable<Timestamptz>,
        cancelled_at -> Nullable<Timestamptz>,
        returned -> Jsonb,
        returned_at -> Nullable<Timestamptz>,
        lost_at -> Nullable<Timestamptz>,
        split_into -> Jsonb,
        delivery_address -> Nullable<Jsonb>,
    }
}

diesel::joinable!(products -> categories (category_id));
diesel::joinable!(stock_levels -> products (sku));
diesel::joinable!(shipments -> orders (order_id));
diesel::allow_tables_to_appear_in_same_query!(categories, products, stock_levels);
diesel::allow_tables_to_appear_in_same_query!(orders, shipments);
