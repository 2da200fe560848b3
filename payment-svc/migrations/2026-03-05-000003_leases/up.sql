-- Until when a call is its worker's. Apart from due_at, which somebody may bring forward meanwhile: a webhook, or a repair.
alter table gateway_calls add column leased_until timestamptz;
