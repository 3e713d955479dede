"""The clouds of the offline engine: one records resources, one creates them in an emulator of AWS."""
