-- Who made a refund: we did, under its id; we did, but more had gone back than was known, so that it was cut and asked for again,
-- under its id and its amount; or somebody else did at the gateway, or a dispute, under the gateway's own name for it.
alter table refunds add column origin text not null default 'ours' check (origin in ('ours', 'cut', 'elsewhere'));
alter table refunds add constraint refunds_made_elsewhere_have_a_name check (origin <> 'elsewhere' or gateway_id is not null);
create unique index refunds_made_elsewhere_once on refunds (gateway_id) where origin = 'elsewhere';
