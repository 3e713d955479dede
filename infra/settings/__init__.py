"""Settings of the stack files, validated."""
