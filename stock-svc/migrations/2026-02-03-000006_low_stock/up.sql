-- With fewer pieces available than this, a product's stock is low, which is announced once each time it falls below.
alter table products
    add column low_stock_mark bigint check (low_stock_mark > 0);
