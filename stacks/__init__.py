"""The programs Pulumi runs, and what opens them without a cloud."""
