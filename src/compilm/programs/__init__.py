"""Everything whose job is a `dspy.Module`: find it, read its shape, apply a candidate to it."""
