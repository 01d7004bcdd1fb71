"""Pretraining: masking, batches, and the command that runs them on transformers' Trainer."""
