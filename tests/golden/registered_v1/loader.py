"""The script inside a registered model ("models from code"): MLflow runs this file where pickle used to be.

It is copied into the model's folder together with the modules of aio_tune that it needs, so it may use nothing else
of aio_tune. It is not meant to be imported.
"""

import importlib
import json
from pathlib import Path
from typing import Any

import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel, PythonModelContext


class EnsembleModel(PythonModel):
    """Gene expression in, calls and probabilities out."""

    def load_context(self, context: PythonModelContext) -> None:
        """Open the ensemble: checksums first, then the networks in Keras' safe mode."""
        # By name: within the package tracking does not depend on models; here both are what the model brings along.
        ensemble_module: Any = importlib.import_module("aio_tune.models.ensemble")
        folder = Path(context.artifacts["ensemble"])
        self._ensemble = ensemble_module.Ensemble.load(folder, verify=True)
        self._classes = list(json.loads((folder / "ensemble.json").read_text())["classes"])

    def predict(
        self, context: PythonModelContext, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> pd.DataFrame:
        """Call every sample.

        Args:
            context: unused, the ensemble is open already.
            model_input: one row per sample, one column per gene symbol in any order, log2(TPM+1).
            params: unused.

        Returns:
            One row per sample, same index: ``call``, then one ``p_<class>`` column per class.
        """
        probabilities = self._ensemble.predict(model_input).probabilities
        calls = pd.DataFrame(probabilities.astype("float64"), index=model_input.index).set_axis(
            [f"p_{name}" for name in self._classes], axis=1
        )
        calls.insert(0, "call", [self._classes[i] for i in probabilities.argmax(axis=1)])
        return calls


set_model(EnsembleModel())
