"""Training and evaluation. One loop for every method; every job starts from its spec alone."""
