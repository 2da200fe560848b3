-- Products are listed newest first, of a category too.
create index products_newest on products (created_at desc, sku desc);
create index products_of_category_newest on products (category_id, created_at desc, sku desc);
drop index products_by_category;
