"""The report of a screen: read from its folder, its model and the records."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import pandas as pd

from crystalgnn_core.base import ADDED_LATER, FrozenModel, digest_of
from crystalgnn_core.errors import LabelSchemeError
from crystalgnn_core.learning.cards import HISTORY, TEST_PREDICTIONS, read_card
from crystalgnn_core.records.label_schemes import SYNTHETIC_PREFIX
from crystalgnn_core.records.links.table import read_link_report
from crystalgnn_core.records.table.store import RecordStore
from crystalgnn_core.reporting.comparison import compare_columns
from crystalgnn_core.reporting.data_sources import data_of_screen, overlap_facts
from crystalgnn_core.reporting.facts import (
    funnel_steps,
    model_facts,
    novelty_facts,
    scheme_facts,
    settings_facts,
)
from crystalgnn_core.reporting.judging import describe_quality, judge_screen
from crystalgnn_core.reporting.page import write_report
from crystalgnn_core.reporting.ranked import with_links, with_truth
from crystalgnn_core.reporting.recovery import recovery_curve
from crystalgnn_core.reporting.report import MAX_TABLE_ROWS, ScreenCounts, ScreenReport
from crystalgnn_core.screening.criteria import TRUE
from crystalgnn_core.screening.expected import are_uncertain
from crystalgnn_core.screening.nonmetals import describe_chance
from crystalgnn_core.screening.quality import RankingQuality
from crystalgnn_core.screening.ranking import describe_score, score_candidates
from crystalgnn_core.storage.files import FileRef, read_model, read_table, write_model

if TYPE_CHECKING:
    from collections.abc import Sequence

    from crystalgnn_core.learning.cards import ModelCard
    from crystalgnn_core.reporting.comparison import Comparison
    from crystalgnn_core.reporting.recovery import RecoveryCurve
    from crystalgnn_core.reporting.report import StageNote
    from crystalgnn_core.screening.config import ScreeningConfig
    from crystalgnn_core.screening.result import ScreenResult

ENTRY, PAGE = "report.json", "report.html"
N_NAMED = 100  # rejects that are all named; of more there are examples
N_EXAMPLES = 12


class ReportState(FrozenModel):
    """Reference to a written report.

    Attributes:
        page: The HTML file.
        quality: Agreement with the truth, where it is known.
        not_judged: Why the agreement, or some of it, is not stated although values are
            known: they follow several label schemes.
        result_digest: Digest of the screen that the page shows, and of the state of the
            records by which it is judged.
        was_written: False when an intact page of this screen was there already.
    """

    page: FileRef
    quality: RankingQuality | None = None
    not_judged: Annotated[tuple[str, ...], ADDED_LATER] = ()
    result_digest: str = ""
    was_written: bool = True


def report_screen(
    store: Path, config: ScreeningConfig, result: ScreenResult, stages: Sequence[StageNote]
) -> ReportState:
    """Write `report.html` into the folder of a screen; keep one that is intact.

    The page is written again when the screen was, when it is now compared with another
    earlier screen, and when records or links have changed: labels of the candidates may
    have come.
    """
    folder = Path(result.folder)
    digest = _page_digest(store, config, result)
    state = read_model(folder / ENTRY, ReportState)
    if state is not None and state.result_digest == digest and state.page.is_intact():
        return state.model_copy(update={"was_written": False})
    cards = [read_card(Path(model)) for model in result.models]
    ranking, not_judged = with_truth(
        store, config, pd.read_parquet(folder / "ranking.parquet")
    )
    quality = None
    try:
        quality = judge_screen(store, config, result, ranking)
    except LabelSchemeError as error:
        not_judged = (*not_judged, str(error))
    report = _compose(config, result, cards, with_links(ranking, config, result), quality)
    report = replace(
        report,
        stages=stages,
        not_judged=not_judged,
        data=data_of_screen(store, config.sources, cards),
        data_facts=overlap_facts(store, config.sources, cards)
        | novelty_facts(ranking, config.top_k),
    )
    write_report(folder / PAGE, report)
    state = ReportState(
        page=FileRef.of(folder / PAGE),
        quality=quality,
        not_judged=not_judged,
        result_digest=digest,
    )
    write_model(folder / ENTRY, state)
    return state


def _page_digest(store: Path, config: ScreeningConfig, result: ScreenResult) -> str:
    """Name what the page shows: the screen, and by which values it is judged."""
    records, links = RecordStore(store), read_link_report(store)
    return digest_of(
        {
            "screen": result.settings_digest(exclude={"was_ranked"}),
            "allow_mixed_schemes": config.allow_mixed_schemes,
            "records": [records.table_id(), records.version()],
            "links": None if links is None else links.table.sha256,
        }
    )


def _compose(
    config: ScreeningConfig,
    result: ScreenResult,
    cards: Sequence[ModelCard],
    ranking: pd.DataFrame,
    quality: RankingQuality | None,
) -> ScreenReport:
    folders = [Path(model) for model in result.models]
    histories = [path for folder in folders if (path := folder / HISTORY).is_file()]
    schemes = {name: text for card in cards for name, text in card.label_schemes.items()}
    shown = ranking[[name for name in map(str, ranking) if not name.endswith("_scheme")]]
    return ScreenReport(
        title=f"Screen \N{LEFT DOUBLE QUOTATION MARK}{config.name}"
        "\N{RIGHT DOUBLE QUOTATION MARK}",
        subtitle=f"{result.screen_id}, by {' and '.join(card.model_id for card in cards)}",
        created=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        counts=ScreenCounts(
            n_in=result.n_in,
            n_scored=result.n_scored,
            n_rejected=sum(result.rejected.values()),
            n_duplicates=result.n_duplicates,
            n_prescreened=None if result.prescreened is None else result.n_prescreened,
        ),
        ranking=shown.drop(columns=["license"]).head(MAX_TABLE_ROWS),
        n_ranked=result.n_scored,
        score_description=_describe_score(config, cards),
        is_synthetic=any(text.startswith(SYNTHETIC_PREFIX) for text in schemes.values()),
        model=model_facts(cards),
        settings=settings_facts(config, result),
        versions=cards[0].environment
        | {"record version": str(cards[0].data.record_version)},
        criteria=config.score.resolve(),
        label_schemes=scheme_facts(schemes, ranking),
        funnel=funnel_steps(config, result),
        rejects=result.rejected,
        reject_examples=_examples(result),
        parity=list(chain.from_iterable(map(_parity, cards, folders))),
        scatter=shown,
        n_top=config.top_k,
        quality=None if quality is None else describe_quality(quality),
        recovery=None if quality is None else _recovery(ranking, config, quality),
        history=read_table(histories[0]).to_pandas() if histories else None,
        changes=None
        if result.changes is None
        else {name.removeprefix("n_"): count for name, count in result.changes},
    )


def _describe_score(config: ScreeningConfig, cards: Sequence[ModelCard]) -> str:
    text = describe_score(config.score)
    if are_uncertain(cards, config.score.targets):
        text += " Of a value in two parts or with an interval the mean counts."
    return text + (describe_chance(cards) if config.metal_filter else "")


def _recovery(
    ranking: pd.DataFrame, config: ScreeningConfig, quality: RankingQuality
) -> RecoveryCurve:
    true = score_candidates(ranking, config.score.resolve(), suffix=TRUE)
    return recovery_curve(ranking["score"].to_numpy(), true, n_best=quality.k)


def _examples(result: ScreenResult) -> list[tuple[str, str, str]]:
    rejects = pd.read_parquet(Path(result.folder) / "rejects.parquet")
    few = rejects
    if len(rejects) > N_NAMED:
        few = rejects.groupby("reason", sort=True).head(3).head(N_EXAMPLES)
    return list(zip(few["material_id"], few["reason"], few["message"], strict=True))


def _parity(card: ModelCard, model: Path) -> list[Comparison]:
    if not (model / TEST_PREDICTIONS).is_file():
        return []
    rows = read_table(model / TEST_PREDICTIONS).to_pandas()
    return [
        compare_columns(
            rows, name, "test", ids="material_id", baseline=card.baseline.get(name)
        )
        for name in card.scaler.targets
    ]
