"""The clouds that a program runs against here: one that records, and one that an emulator of AWS answers for."""
