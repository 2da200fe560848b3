drop table redirections;
