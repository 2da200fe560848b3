alter table gateway_calls drop column leased_until;
