alter table movements rename to movements_by_year;
alter table movements_by_year rename constraint movements_pkey to movements_by_year_pkey;
alter index movements_by_sku rename to movements_by_year_by_sku;
create table movements (
    id bigint generated always as identity primary key,
    sku text not null,
    kind text not null constraint movements_kind_check check (kind in ('listed', 'adjusted', 'committed', 'restocked')),
    quantity bigint not null,
    order_id uuid,
    reason text,
    at timestamptz not null default now(),
    constraint movements_check check ((order_id is not null) = (kind in ('committed', 'restocked')))
);
insert into movements overriding system value
    select id, sku, kind, quantity, order_id, reason, at from movements_by_year;
select setval(pg_get_serial_sequence('movements', 'id'), coalesce((select max(id) from movements), 0) + 1, false);
drop table movements_by_year;
drop function movements_upkeep();
drop function movements_year_begins(integer);
create index movements_by_sku on movements (sku, id);
