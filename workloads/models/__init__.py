"""Networks by name: each takes uint8 images, normalises them itself and gives float32 logits."""
