"""What to do about the operations that a killed `pulumi up` or `pulumi destroy` left unfinished."""
