"""State from which a run resumes after it was stopped or killed at any instant."""
