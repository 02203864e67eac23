"""Encoders and fitted methods on recordings of one's own, whatever made them."""
