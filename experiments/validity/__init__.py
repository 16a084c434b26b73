"""Whether a run calls itself INVALID when, and only when, the generator distorted it."""
