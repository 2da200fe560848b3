-- What is low is looked for among the products that are watched, newest first as every list of products.
create index products_watched_newest on products (created_at desc, sku desc) where low_stock_mark is not null;
