"""The settings of a stack file, checked."""
