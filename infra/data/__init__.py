"""Components that hold data: the database, buckets, image repositories and secrets."""
