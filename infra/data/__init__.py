"""What holds data: the database, buckets, image repositories and secrets."""
