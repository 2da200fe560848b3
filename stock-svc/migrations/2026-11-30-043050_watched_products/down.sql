drop index products_watched_newest;
