"""How far two models differ on the same rows, and how much of that may be chance."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from crystalgnn_core.base import FrozenModel
from crystalgnn_core.targets import is_class

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

N_RESAMPLES = 1000
CHUNK = 4_000_000  # drawn groups at a time, which bounds memory
TINY = 1e-12  # scaled error of a model that is right
NO_NUMBER = 1e6  # scaled error of a prediction that is no number


class Evidence(FrozenModel):
    """How much smaller the challenger's error is than the champion's on some rows.

    Attributes:
        n: Rows.
        n_groups: Compositions of these rows, which are drawn as one: polymorphs are no
            independent witnesses.
        champion_error: Scaled error of the champion (see `scaled_error`).
        challenger_error: That of the challenger.
        improvement: Relative decrease; negative where the challenger is worse.
        uncertainty: Standard error of the improvement: from drawing other rows, and from
            training again on equal data.
        low: The improvement is at least this, but for chance at the level it was judged by.
        high: It is at most this, likewise.
    """

    n: int
    n_groups: int
    champion_error: float
    challenger_error: float
    improvement: float
    uncertainty: float
    low: float
    high: float

    @property
    def is_better(self) -> bool:
        """Whether the challenger is better beyond chance."""
        return self.low > 0

    @property
    def is_worse(self) -> bool:
        """Whether the challenger is worse beyond chance."""
        return self.high < 0


class PairedLosses(NamedTuple):
    """Scaled errors of two models on the same rows.

    Attributes:
        targets: Names of the targets, of which there are n_targets.
        champion: NaN where there is no label, shape (n_rows, n_targets).
        challenger: The same.
        groups: Number of the composition of each row, shape (n_rows,).
    """

    targets: tuple[str, ...]
    champion: NDArray[np.float64]
    challenger: NDArray[np.float64]
    groups: NDArray[np.int64]

    @classmethod
    def of(
        cls,
        targets: Sequence[str],
        labels: NDArray[np.float64],
        predicted: tuple[
            Mapping[str, NDArray[np.float64]], Mapping[str, NDArray[np.float64]]
        ],
        formulas: Sequence[str],
    ) -> PairedLosses:
        """Scale the errors of champion and challenger as `scaled_error` does.

        Args:
            targets: In the order of the labels.
            labels: In the targets' units, NaN missing, shape (n_rows, n_targets).
            predicted: Of both models: target to predictions, shape (n_rows,).
            formulas: Reduced formula of every row.
        """
        losses = [
            np.stack(
                [
                    _scaled_losses(name, column, found[name])
                    for name, column in zip(targets, labels.T, strict=True)
                ],
                axis=1,
            )
            for found in predicted
        ]
        groups = np.unique(np.array(formulas, dtype=np.str_), return_inverse=True)[1]
        return cls(tuple(targets), losses[0], losses[1], groups)

    def at(self, positions: NDArray[np.int64] | NDArray[np.bool_]) -> PairedLosses:
        """Return those of some rows, on the same scale."""
        return self._replace(
            champion=self.champion[positions],
            challenger=self.challenger[positions],
            groups=self.groups[positions],
        )


def _scaled_losses(
    name: str, labels: NDArray[np.float64], predicted: NDArray[np.float64]
) -> NDArray[np.float64]:
    is_known = np.isfinite(labels)
    known = labels[is_known]
    if not len(known):
        return np.full(len(labels), np.nan)
    if is_class(name):
        losses, scale = np.square(predicted - labels), known.mean() * (1 - known.mean())
    else:
        losses, scale = np.abs(predicted - labels), np.abs(known - known.mean()).mean()
    losses = losses / (scale if known.min() < known.max() else 1.0)
    return np.where(is_known & ~np.isfinite(losses), NO_NUMBER, losses)


def weigh(losses: PairedLosses, level: float, noise: float) -> dict[str, Evidence]:
    """Compare two models by a paired bootstrap over compositions.

    Both models are drawn with the same rows, so that what is hard for both cancels
    (Efron & Tibshirani, An Introduction to the Bootstrap (1993)). That a training of the
    same network on the same rows from another seed gives another error is no matter of the
    test rows, however many these are; it is added to the standard error.

    Args:
        losses: Scaled errors of both.
        level: Share of equal models that may pass for better, or for worse.
        noise: Standard deviation of the improvement between two such trainings.

    Returns:
        Evidence of each target that has labels of two compositions, and under the empty
        name that of all targets together; nothing if there are no such labels.
    """
    from scipy.stats import t

    is_known = ~np.isnan(losses.champion)
    n_groups = [len(np.unique(losses.groups[known])) for known in is_known.T]
    chosen = [at for at, n in enumerate(n_groups) if n > 1]
    if not chosen:
        return {}
    columns = [losses.champion, losses.challenger]
    sums = _sums_by_group([np.nan_to_num(each) for each in columns], is_known, losses)
    errors = _errors(sums.sum(axis=0)[None], chosen)[0]
    spread = np.nanstd(_errors(_resampled(sums), chosen), axis=0, ddof=1)
    names = ("", *(losses.targets[at] for at in chosen))
    found = {}
    for place, name in enumerate(names):
        rows = is_known.any(axis=1) if not name else is_known[:, chosen[place - 1]]
        n = len(np.unique(losses.groups[rows]))
        improvement, of_rows = float(errors[2, place]), float(spread[2, place])
        uncertainty = float(np.hypot(of_rows, noise))
        reach = float(t.isf(level, n - 1)) * uncertainty
        found[name] = Evidence(
            n=int(rows.sum()),
            n_groups=n,
            champion_error=float(errors[0, place]),
            challenger_error=float(errors[1, place]),
            improvement=improvement,
            uncertainty=uncertainty,
            low=improvement - reach,
            high=improvement + reach,
        )
    return found


def _sums_by_group(
    columns: list[NDArray[np.float64]], is_known: NDArray[np.bool_], losses: PairedLosses
) -> NDArray[np.float64]:
    """Add up both models' errors, and labels: shape (n_groups, 3, n_targets)."""
    _, groups = np.unique(losses.groups, return_inverse=True)
    values = np.stack([*columns, is_known.astype(float)], axis=1)
    sums = np.zeros((groups.max() + 1, *values.shape[1:]))
    np.add.at(sums, groups, values)
    return sums


def _resampled(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """Draw groups with replacement; return sums, shape (n_resamples, 3, n_targets)."""
    n, random = len(sums), np.random.default_rng(0)
    flat, size = sums.reshape(n, -1), max(1, CHUNK // n)
    drawn = []
    for start in range(0, N_RESAMPLES, size):
        rows = random.integers(n, size=(min(size, N_RESAMPLES - start), n))
        counts = np.stack([np.bincount(each, minlength=n) for each in rows])
        drawn.append(counts @ flat)
    return np.concatenate(drawn).reshape(-1, *sums.shape[1:])


def _errors(sums: NDArray[np.float64], chosen: list[int]) -> NDArray[np.float64]:
    """Return champion's error, challenger's and its improvement, together and by target.

    Shape (n_sums, 3, 1 + n_chosen); NaN where a draw holds no label of a target.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        means = (sums[:, :2] / sums[:, 2:])[:, :, chosen]
        errors = np.concatenate([means.mean(axis=2, keepdims=True), means], axis=2)
        before, after = errors[:, 0], errors[:, 1]
        improvement = np.where(before == after, 0.0, 1 - after / np.maximum(before, TINY))
    return np.concatenate([errors, improvement[:, None]], axis=1)
