"""Injection: texts from outside that speak to the model instead of telling it something."""
