"""Fine-tuning: labelled recordings in, a classifier out."""
