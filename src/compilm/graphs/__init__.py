"""State graphs that are `dspy.Module`s: checked, drawn, paused for a person, resumed elsewhere."""
