create index products_by_category on products (category_id, sku);
drop index products_of_category_newest;
drop index products_newest;
