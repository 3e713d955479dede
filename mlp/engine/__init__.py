"""Run a stack program in this process, without Pulumi's engine."""
