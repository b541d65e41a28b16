"""Programs of other frameworks as ours, and ours as theirs; each file imports its own framework."""
