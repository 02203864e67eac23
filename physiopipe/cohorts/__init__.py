"""Cohorts: what is known of each, how it is read and simulated; one registry."""
