drop table line_names;
