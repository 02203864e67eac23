"""Pure functions on arrays of signals: leads, filters, resampling, windows, quality."""
