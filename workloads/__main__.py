"""`python -m workloads`."""

from workloads.cli import main

if __name__ == "__main__":
    main()
