"""Who may do what: roles, and the documents that say so."""
