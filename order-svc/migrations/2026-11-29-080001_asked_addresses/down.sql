delete from redirections where delivery_address is null;
alter table redirections
    alter column delivery_address set not null,
    drop column asked;
