"""What each subpackage hands on, and that handing on loads nothing before it is used."""

import ast
import importlib
import subprocess
import sys

import pytest

STAGES = {
    "": ("PipelineConfig", "load_config", "predict"),
    "storage": (
        *("FileRef", "Manifest", "Refusal", "ShardEntry", "ShardJob", "ShardSet"),
        *("ShardState", "atomic_path", "read_json", "write_json", "write_table"),
        "write_text",
    ),
    "remote": ("RemoteFile", "cache_folder", "fetch", "fetch_json"),
    "records": (
        *("Crystal", "GateConfig", "GateReport", "LabelScheme", "LinkConfig"),
        *("RawRecord", "RecordStore", "RejectReason", "RejectedRecord"),
        *("changes_since", "compare_versions", "crystal_from_structure"),
        *("describe_scheme", "energies_above_hull", "link_records", "read_links"),
        *("record_schema", "require_accepted", "stream_crystals"),
        "structure_from_crystal",
    ),
    "sources": (
        *("AnySource", "FilesSource", "IngestPlan", "IngestReport", "JarvisSource"),
        *("MaterialsProjectSource", "OptimadeSource", "SourceConfig", "SourcePart"),
        *("SourcePlan", "SyntheticSource", "TextbookSource", "VaspSource"),
        *("commit_ingest", "crystal_from_any", "ingest_source", "plan_ingest"),
        *("read_part", "read_source", "source_class"),
    ),
    "graphs": (
        *("GraphConfig", "GraphDataset", "GraphStream", "LineGraph", "build_dataset"),
        *("build_graph", "build_graph_shard", "graph_folder", "map_graphs"),
        *("pair_along_paths", "pair_at_centers", "plan_graph_shards"),
    ),
    "models": (
        *("ALIGNNConfig", "CGCNNConfig", "COGNConfig", "CompositionGNNConfig"),
        "CompositionMLPConfig",
        *("CompositionTreesConfig", "MEGNetConfig", "ModelConfig", "NetworkConfig"),
        *("PotentialConfig", "SchNetConfig", "for_inference"),
    ),
    "learning": (
        *("Decision", "FinetuningConfig", "ModelCard", "OptimizerConfig", "Registry"),
        *("RetrainingConfig", "TrainedModel", "TrainingConfig", "TrainingData"),
        *("compare_models", "evaluate_model", "finetune_model", "load_bundle"),
        *("load_training_data", "read_card", "train_model", "write_bundle"),
    ),
    "screening": (
        *("Above", "Below", "Criterion", "Window"),
        *("PrescreenConfig", "Prescreened", "RankingQuality", "ScoreConfig"),
        *("ScreenResult", "ScreeningConfig", "StructureText", "judge_ranking"),
        *("kept_digests", "load_crystals", "plan_prediction_shards", "predict"),
        *("predict_shard", "prescreen", "rank_candidates", "rank_screen"),
        *("read_candidates", "score_candidates"),
    ),
    "reporting": ("ReportState", "StageNote", "plot_history", "report_screen"),
    "maintenance": ("Checked", "Compaction", "Damage", "check_store", "compact_store"),
}


def package(stage):
    return f"crystalgnn_core.{stage}".removesuffix(".")


@pytest.mark.parametrize("stage", STAGES)
def test_each_subpackage_hands_on_these_names(stage):
    module = importlib.import_module(package(stage))
    assert sorted(module.__all__) == sorted(STAGES[stage])
    for name in module.__all__:
        assert getattr(module, name) is not None
    with pytest.raises(AttributeError):
        _ = module.no_such_name


def test_handing_on_loads_neither_torch_nor_pymatgen_nor_arrow():
    script = (
        "import importlib, sys\n"
        f"for name in {[package(stage) for stage in STAGES]!r}:\n"
        "    dir(importlib.import_module(name))\n"
        "print(sorted({'torch', 'pymatgen', 'pyarrow', 'numpy'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert ast.literal_eval(done.stdout) == []
