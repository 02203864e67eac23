"""Training loops: pretraining and fine-tuning."""
