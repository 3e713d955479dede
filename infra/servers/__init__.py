"""Arguments, environment and sizes of the servers, which cluster and laptop both take from here."""
