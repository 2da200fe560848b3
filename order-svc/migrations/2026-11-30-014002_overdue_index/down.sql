drop index orders_overdue;
