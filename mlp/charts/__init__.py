"""What the releases and custom resources of a plan are checked against: the charts themselves."""
