"""What a run needs to go on after it was ended at any instant."""
