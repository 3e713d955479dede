"""Networks by name: each takes uint8 images, normalises them itself and returns float32 logits."""
