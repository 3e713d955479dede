"""What a user types: arguments and options, one file a group of commands."""
