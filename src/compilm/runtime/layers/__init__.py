"""Policies as layers: each takes an engine pair and is one."""
