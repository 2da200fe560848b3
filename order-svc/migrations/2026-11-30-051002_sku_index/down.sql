drop index orders_by_sku;
