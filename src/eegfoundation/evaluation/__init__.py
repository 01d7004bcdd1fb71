"""Evaluation: folds that cannot leak, scores with intervals, baselines on the same folds."""
