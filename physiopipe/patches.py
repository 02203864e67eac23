"""The one number that parameters and networks share; this module imports nothing, so that networks need no pydantic."""

PATCH_SAMPLES = 200  # one patch of CBraMod; its convolutions and spectrum are made for this length
