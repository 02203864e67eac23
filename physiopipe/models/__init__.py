"""The encoder, masking, losses, fusion and weights. Imports torch and numpy alone."""
