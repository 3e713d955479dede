"""What all tests share."""

from __future__ import annotations

import gc

gc.set_threshold(100_000, 50, 100)  # a full collection walks all of the SDKs' types, half a second each
