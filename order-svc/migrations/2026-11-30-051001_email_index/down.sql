drop index orders_by_email;
