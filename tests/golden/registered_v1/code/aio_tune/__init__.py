"""Hyperparameter search for networks that read clinical labels from RNA-seq profiles drawn as pictures."""
