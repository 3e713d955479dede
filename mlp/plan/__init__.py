"""Plans as values: kept in files, and computed from other revisions."""
