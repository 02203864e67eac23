"""The version of what this package computes."""

# Part of every stored part's digest: raise it when a change here changes any window's bytes or flags.
PROCESSING_VERSION: int = 8
