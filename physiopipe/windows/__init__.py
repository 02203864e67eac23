"""The store of windows: writing, index, manifest, splits and reading for training."""
