-- Orders by their customer's e-mail address. store/rows.rs has the same expression.
create index orders_by_email on orders (lower(placed #>> '{customer,email}'), id desc);
