"""A plan as a value: kept in files, and made by other revisions."""
