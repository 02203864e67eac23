"""Experiments: methods over protocol × seeds × folds, their variants, and what is kept of them."""
