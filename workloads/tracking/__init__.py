"""Recording of runs, and the connection to the tracking server."""
