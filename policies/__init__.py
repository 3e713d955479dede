"""The rules of the platform as pure functions, and the policy pack in which Pulumi runs them."""
