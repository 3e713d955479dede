"""What is recorded about a run, and how the tracking server is reached."""
