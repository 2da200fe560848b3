drop index orders_by_number;
