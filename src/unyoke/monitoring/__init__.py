"""What weight decay does while a training runs: norms, rotation, Σηλ, and warnings in words.

:func:`monitor` watches an optimizer, ours or torch's; :mod:`~unyoke.monitoring.writers` has where
readings go, :mod:`~unyoke.monitoring.callbacks` the forms for Lightning and Hugging Face.
"""

from unyoke.monitoring.reading import GroupReading, LayerReading, Reading
from unyoke.monitoring.watching import Monitor, monitor

__all__ = ["GroupReading", "LayerReading", "Monitor", "Reading", "monitor"]
