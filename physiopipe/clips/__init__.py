"""Clips: what methods are fed, and what is computed of them without their labels."""
