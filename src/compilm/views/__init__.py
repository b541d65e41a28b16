"""What a run looks like: pure functions from the journal's records to SVG, PNG, HTML and text."""
