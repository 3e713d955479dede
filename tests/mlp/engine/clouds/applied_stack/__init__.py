"""Tests of one stack that is applied once: a package, so that the stack can stay as long as it and no longer."""
