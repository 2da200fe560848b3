-- An address that the customer asked for and that stock-svc has not decided on yet. An order may have one and no other.
alter table redirections
    alter column delivery_address drop not null,
    add column asked jsonb;
