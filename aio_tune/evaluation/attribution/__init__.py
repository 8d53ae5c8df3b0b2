"""Attribution: which genes drive a network's call.

    backend      gradients: the one thing that Keras leaves to its backend
    scores       what is explained: the log-odds of a class, before the softmax
    pixels       pixels <-> columns (genes, and genes of further kinds), and the baseline picture
    base         what a method is handed and gives
    gradients    integrated gradients
    gradcam      Grad-CAM
    occlusion    blocks of genes set to the baseline
    stability    ranks of genes within each fold, and how they agree
    linear       the weights of the linear baseline
    explain      from registered ensembles and a dataset to a table of genes
    drawing      the same as pictures

A further method is a function like these, and one line in ``METHODS``. Importing this package imports no Keras.

What is attributed is what the network sees: pixels after preprocessing. An attribution says what the network goes by,
not what causes the disease; of two genes that rise and fall together a network may take either.
"""

from aio_tune.evaluation.attribution.base import Attribute, Attribution, Sight
from aio_tune.evaluation.attribution.gradcam import grad_cam
from aio_tune.evaluation.attribution.gradients import integrated_gradients
from aio_tune.evaluation.attribution.occlusion import occlusion

METHODS: dict[str, Attribute] = {
    "integrated-gradients": integrated_gradients,
    "grad-cam": grad_cam,
    "occlusion": occlusion,
}

__all__ = ["METHODS", "Attribute", "Attribution", "Sight", "grad_cam", "integrated_gradients", "occlusion"]
