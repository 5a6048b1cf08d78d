"""A venue that is not in the house: what adding one takes, proven by adding one."""
