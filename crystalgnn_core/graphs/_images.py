"""Search of small cells: every atom, image by image."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from crystalgnn_core.compiled import compiled
from crystalgnn_core.graphs._sphere import NeighborBuffer, grow

if TYPE_CHECKING:
    from numpy.typing import NDArray


@compiled
def collect_images(  # one loop nest; calls in it would cost speed
    frame: NDArray[np.float64],
    fracs: NDArray[np.float64],
    center: int,
    radius: float,
    found: NeighborBuffer,
) -> tuple[NeighborBuffer, int]:
    """Collect the neighbours of one atom within a radius, in no particular order.

    Planes of images, then rows, then images are visited only where they meet the sphere
    (Fincke & Pohst, Math. Comput. 44, 463 (1985)).

    Returns:
        The buffers (regrown when too small), and the number of neighbours in them.
    """
    distance2, others, image = found
    limit2 = radius * radius
    xx, yx, yy = frame[0, 0], frame[1, 0], frame[1, 1]
    zx, zy, zz = frame[2, 0], frame[2, 1], frame[2, 2]
    per_x, per_y, per_z = 1.0 / xx, 1.0 / yy, 1.0 / zz  # a division takes many cycles
    span = radius * per_z
    n = 0
    for other in range(fracs.shape[0]):
        da = fracs[other, 0] - fracs[center, 0]
        db = fracs[other, 1] - fracs[center, 1]
        dc = fracs[other, 2] - fracs[center, 2]
        for c in range(int(np.ceil(-dc - span)), int(np.floor(span - dc)) + 1):
            z = (dc + c) * zz
            left = max(limit2 - z * z, 0.0)
            shift = db + (dc + c) * zy * per_y
            span_b = np.sqrt(left) * per_y
            for b in range(
                int(np.ceil(-shift - span_b)), int(np.floor(span_b - shift)) + 1
            ):
                y = (db + b) * yy + (dc + c) * zy
                yz2 = y * y + z * z
                left = max(limit2 - yz2, 0.0)
                along = (db + b) * yx + (dc + c) * zx
                start = da + along * per_x
                span_a = np.sqrt(left) * per_x
                for a in range(
                    int(np.ceil(-start - span_a)), int(np.floor(span_a - start)) + 1
                ):
                    x = (da + a) * xx + along
                    d2 = x * x + yz2
                    if d2 > limit2 or (other == center and a == b == c == 0):
                        continue
                    if n == len(others):
                        found = grow(NeighborBuffer(distance2, others, image))
                        distance2, others, image = found
                    distance2[n], others[n] = d2, other
                    image[n, 0], image[n, 1], image[n, 2] = a, b, c
                    n += 1
    return NeighborBuffer(distance2, others, image), n
