create table categories (
    id uuid primary key,
    name text not null unique,
    description text not null,
    created_at timestamptz not null default now()
);

-- The catalogue. Each row is the root of its SKU on products.v1: `products_said` counts what was announced.
create table products (
    sku text primary key,
    name text not null,
    brand text,
    description text not null,
    category_id uuid references categories (id),
    price_amount bigint not null check (price_amount > 0),
    price_currency text not null,
    status text not null default 'active' check (status in ('active', 'withdrawn')),
    products_said bigint not null default 0,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
);
create index products_by_category on products (category_id, sku);

-- Apart from the catalogue, because every hold rewrites its row: narrow rows, updated in place on their page. No upper
-- bound: what people enter has one, but goods that come back from a cancelled order must always find their place.
create table stock_levels (
    sku text primary key references products (sku),
    on_hand bigint not null check (on_hand >= 0),
    held bigint not null default 0 check (held >= 0),
    constraint never_oversold check (on_hand - held >= 0)
) with (fillfactor = 70);

-- Everything that ever changed on_hand: for each SKU the sum is what is on hand.
create table movements (
    id bigint generated always as identity primary key,
    sku text not null,
    kind text not null check (kind in ('listed', 'adjusted', 'committed', 'restocked')),
    quantity bigint not null,
    order_id uuid,
    reason text,
    at timestamptz not null default now(),
    check ((order_id is not null) = (kind in ('committed', 'restocked')))
);
create index movements_by_sku on movements (sku, id);

-- The root row of each order's goods: what is reserved, and what was said on stock.v1 and shipments.v1. The lines are
-- written once and always read whole with the row.
create table orders (
    order_id uuid primary key,
    reservation text check (reservation in ('held', 'committed', 'restocked', 'released', 'expired',
        'rejected_shortages', 'rejected_expired', 'tombstone')),
    release_reason text,
    expires_at timestamptz,
    lines jsonb not null default '[]',
    captured boolean not null default false,
    stock_said bigint not null default 0,
    shipments_said bigint not null default 0,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    check ((release_reason is not null) = (reservation is not null and reservation in ('released', 'tombstone'))),
    check (expires_at is not null or reservation is distinct from 'held')
) with (fillfactor = 70);

create table shipments (
    id uuid primary key,
    order_id uuid not null references orders (order_id),
    status text not null check (status in ('pending', 'packed', 'dispatched', 'delivered', 'cancelled')),
    lines jsonb not null,
    carrier text,
    tracking_number text,
    created_at timestamptz not null,
    packed_at timestamptz,
    dispatched_at timestamptz,
    delivered_at timestamptz,
    cancelled_at timestamptz,
    check ((dispatched_at is null) = (carrier is null) and (dispatched_at is null) = (tracking_number is null))
);
-- One parcel an order, until orders can be split.
create unique index shipments_by_order on shipments (order_id);
create index shipments_by_status on shipments (status, id);
