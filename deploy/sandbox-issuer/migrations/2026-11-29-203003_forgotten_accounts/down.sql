drop table forgotten_accounts;
