"""What breaks other programs, done to this one on purpose; `make torture` prints the tables."""
