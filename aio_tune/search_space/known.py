"""Names that a space file may use."""

# This room stands below training and beside models and may import neither; a test keeps the list equal to theirs.
# fmt: off
KNOWN_PARAMETERS: tuple[str, ...] = (
    # of preprocessing and training
    "omics", "harmoniser", "scaling", "layout", "optimizer", "learning_rate", "epsilon", "momentum", "weight_decay",
    "batch_size", "class_weight", "label_smoothing", "auxiliary_weight",
    # of the network
    "branches", "filters", "depth", "kernel_size", "pool", "conv_l1", "conv_l2", "dropout", "input_dropout",
    "batch_norm", "bn_epsilon", "bn_momentum", "embedding_width", "embedding_l1", "embedding_l2", "fc_widths",
    "fc_l2", "head",
)
