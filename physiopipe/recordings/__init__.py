"""Recordings: what one is, where they come from, and readers and simulators for each kind."""
