update orders set reason = 'customer' where reason = 'staff';
