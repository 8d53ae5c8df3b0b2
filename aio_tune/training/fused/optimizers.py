"""An optimizer's update of a variable as one kernel."""

from typing import Any

import keras
import tensorflow as tf


class _OneKernel(keras.optimizers.Adam):
    """Adam's update of a variable as one operation."""

    def apply(self, gradients: Any, variables: Any = None) -> None:
        # Once for all variables: tracing takes longer the more operations there are.
        step = tf.cast(self.iterations + 1, tf.float32)
        self._powers = [tf.pow(tf.constant(beta, tf.float32), step) for beta in (self.beta_1, self.beta_2)]
        super().apply(gradients, variables)

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        place = self._get_variable_index(variable)
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=self._momentums[place].value.handle,
            v=self._velocities[place].value.handle,
            beta1_power=self._powers[0],
            beta2_power=self._powers[1],
            lr=learning_rate,
            beta1=self.beta_1,
            beta2=self.beta_2,
            epsilon=self.epsilon,
            grad=gradient,
        )


class FusedAdam(_OneKernel):
    """``keras.optimizers.Adam``."""


class FusedAdamW(_OneKernel, keras.optimizers.AdamW):
    """``keras.optimizers.AdamW``, whose decay comes before the update."""


class FusedRMSprop(keras.optimizers.RMSprop):
    """``keras.optimizers.RMSprop``, not centered, with the update of a variable as one operation."""

    def build(self, variables: Any) -> None:
        if self.built:
            return
        super().build(variables)
        # Where there is no momentum the kernel still wants to write it down. Nothing depends on it, so it is no part
        # of the optimizer's state.
        self._steps = [] if self.momentum else [tf.Variable(tf.zeros_like(v.value), trainable=False) for v in variables]

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        place = self._get_variable_index(variable)
        step = self._steps[place] if self._steps else self._momentums[place].value
        tf.raw_ops.ResourceApplyRMSProp(
            var=variable.handle,
            ms=self._velocities[place].value.handle,
            mom=step.handle,
            lr=learning_rate,
            rho=self.rho,
            momentum=self.momentum,
            epsilon=self.epsilon,
            grad=gradient,
        )
