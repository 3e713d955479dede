"""The platform as processes on this machine: PostgreSQL, the AWS emulator, MLflow and Ray."""
