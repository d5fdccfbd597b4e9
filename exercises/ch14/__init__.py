"""Exercise of chapter 14: prefix sums, messages, the forwarder and the two sums of an all-to-all over nodes."""
