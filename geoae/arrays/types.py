"""Types of arrays for annotations."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating[Any]]
"""Real numbers of any precision."""
Float64Array = NDArray[np.float64]
AnyArray = NDArray[Any]
Generator = np.random.Generator
