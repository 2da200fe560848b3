drop index orders_without_keys;
