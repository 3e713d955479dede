"""The commands' arguments and options, one file a group of commands."""
