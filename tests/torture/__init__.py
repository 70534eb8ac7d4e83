"""What breaks other programs, done to this one on purpose, with counts."""
