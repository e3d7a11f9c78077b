"""What fine-tuning adds to training: its start, its learning rate, its verdict."""
