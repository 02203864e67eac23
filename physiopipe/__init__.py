"""physiopipe: from public ECG and EEG recordings to a results table that anyone can rerun."""

__version__ = "0.2.0"
