"""The stack programs, run in this process against a recording or an emulated cloud: for plans, tests and the laptop."""
