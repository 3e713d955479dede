"""Checks of a plan's releases and custom resources against the charts themselves."""
