"""What a plan must hold: rules as pure functions, and the policy pack that Pulumi runs them in."""
