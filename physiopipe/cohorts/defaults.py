"""The cohorts of a study that names none: those of the paper."""

PRETRAINING = "challenge"
DOWNSTREAM = ("dreamer",)
