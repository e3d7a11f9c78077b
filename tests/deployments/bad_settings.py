"""Bad configurations and calls, and the one line in which each must end."""

from typing import NamedTuple

JOB = "pipeline --config job.yaml"
BOOK = "ingest --source textbook"
MP = "ingest --source materials-project"
CIF = "ingest --source files --path x.cif"


class Bad(NamedTuple):
    """A call that must be refused.

    Attributes:
        call: Arguments; `{store}` stands for a store with two models, `{model}` for one.
        line: Regular expression that the line holds.
        meant: What the line suggests; empty where nothing is near.
        file: Content of `job.yaml`.
        environment: Variables that are set.
    """

    call: str
    line: str
    meant: str = ""
    file: str | bytes | None = None
    environment: tuple[tuple[str, str], ...] = ()


def _file(content: str | bytes, line: str, meant: str = "") -> Bad:
    return Bad(JOB, line, meant, content)


def _set(override: str, line: str, meant: str = "", command: str = "pipeline") -> Bad:
    return Bad(f"{command} --set '{override}'", line, meant)


FILES = (
    Bad("pipeline --config missing.yaml", "--config missing.yaml: no such file.*demo"),
    Bad("pipeline --config dem", "dem: no such file", "demo"),
    Bad("pipeline --config jb.yaml", "jb.yaml: no such file", "job.yaml", ""),
    Bad("pipeline --config folder", "--config folder: a folder"),
    Bad("pipeline --config ''", "--config"),
    _file("", "no sources are configured"),
    _file("# nothing\n", "no sources are configured"),
    _file("store: M\xfcller\n".encode("latin-1"), r"job.yaml: not UTF-8 text \(byte 9\)"),
    _file("store: a\n".encode("utf-16"), "job.yaml: not UTF-8 text"),
    _file(b"store: a\0b", "job.yaml: not valid YAML"),
    _file("- a\n- b\n", "job.yaml: expected keys and values, found a list"),
    _file("training", "job.yaml: expected keys and values, found a single value"),
    _file("training: [1\nstore: a", "job.yaml: not valid YAML .line 2, column 6"),
    _file("\tstore: a", "job.yaml: not valid YAML .line 1, column 1"),
    _file("store: 'a", "job.yaml: not valid YAML"),
    _file("store: *a", "job.yaml: not valid YAML .*undefined alias"),
    _file("store: !!python/name:os.system a", "job.yaml: not valid YAML"),
    _file("a: 1\n---\nb: 2", "job.yaml: not valid YAML .*found another document"),
    _file("store: a\nstore: b", "line 2, column 1: store is given twice, .*line 1"),
    _file(
        "training:\n  epochs: 5\n  seed: 1\n  epochs: 6",
        "line 4, column 3: epochs is given twice, first in line 2",
    ),
    _file("3: a", "line 1, column 1: 3 is no text as a key; put it in quotes"),
    _file("sauces: []", "job.yaml: sauces: unknown key", "sources"),
    _file("epochs: 5", "job.yaml: epochs: unknown key", "training.epochs"),
    _file("training: {epoch: 5}", "job.yaml: training.epoch: unknown key", "epochs"),
    _file("training: {epochs: many}", "epochs: expected a whole number .found 'many'"),
    _file("training: {epochs: 2.5}", "training.epochs: expected a whole number .found 2.5"),
    _file("training: {epochs: 0}", "training.epochs: must be at least 1 .found 0"),
    _file("training: {epochs:}", "training.epochs: expected a whole number .found nothing"),
    _file("training: 5", "job.yaml: training: expected keys and values .found 5"),
    _file("training: [epochs, 5]", "job.yaml: training: expected keys and values"),
    _file("training:", "job.yaml: training: expected keys and values .found nothing"),
    _file(
        "training: {optimiser: {kind: sgd}}", "training.optimiser: unknown key", "optimizer"
    ),
    _file(
        "training: {optimizer: {kind: adam}}",
        "training.optimizer.kind: expected adamw or sgd .found 'adam'",
        "adamw",
    ),
    _file("training: {optimizer: {learning_rate: -1}}", "learning_rate: must be above 0"),
    _file(
        "training: {optimizer: {learning_rat: 1}}",
        "learning_rat: unknown key",
        "learning_rate",
    ),
    _file("training: {loss: l3}", "training.loss: expected l1, huber or mse .found 'l3'"),
    _file("training: {device: cud}", "training.device: expected auto, cpu or cuda", "cuda"),
    _file("training: {precision: float64}", "training.precision: expected", "bfloat16"),
    _file("training: {compile: maybe}", "training.compile: expected true or false"),
    _file("training: {targets: band_gap}", "training.targets: expected a list"),
    _file("training: {targets: [bandgap]}", "unknown target 'bandgap'; known", "band_gap"),
    _file("training: {targets: []}", "training.targets: no target is named"),
    _file("training: {hurdle: [is_metal]}", "is_metal cannot be learned in two parts"),
    _file("training: {targets: [is_metal, is_metal]}", "is_metal is named twice; name"),
    _file(
        "training: {split: {val_fraction: 0.7, test_fraction: 0.6}}",
        "training.split: val_fraction . test_fraction leaves nothing",
    ),
    _file("training: {split: {val_fraction: 2}}", "val_fraction: must be below 1 .found 2"),
    _file("store: no", "job.yaml: store: expected text .found false.; put it in quotes"),
    _file("store: 2026-11-25", "store: expected text .*2026-11-25..; put it in"),
    _file("store: {a: b}", "job.yaml: store: expected text"),
    _file("store: ''", "job.yaml: store: is empty"),
    _file("model: {kind: cgcn}", "model: no kind 'cgcn', expected alignn", "cgcnn"),
    _file("model: cgcnn", "expected keys and values with a kind.*write {kind: cgcnn}"),
    _file("model: [cgcnn]", "model: expected keys and values with a kind"),
    _file("model: {kind: [a]}", r'model: no kind \["a"\], expected'),
    _file(
        "model: {kind: cgcnn, n_conv: 3}",
        "job.yaml: model.n_conv: unknown key of kind cgcnn",
        "n_convolutions",
    ),
    _file(
        "model: {kind: schnet, node_features: tabel}",
        "model.node_features: 'tabel' is no choice",
        "table",
    ),
    _file(
        "model: {kind: schnet, node_features: [atomic_nmber]}",
        "no element property is called 'atomic_nmber'",
        "atomic_number",
    ),
    _file("graph: {strategy: radus}", "graph.strategy: expected knn.* .found", "radius"),
    _file("graph: {cutoff: -1}", "graph.cutoff: must be above 0 .found -1"),
    _file("graph: {cutoff: 9, max_cutoff: 8}", "graph: max_cutoff 8.0 is below cutoff 9.0"),
    _file("graph: {max_cutof: 9}", "graph.max_cutof: unknown key", "max_cutoff"),
    _file("sources: {kind: files}", "job.yaml: sources: expected a list"),
    _file("sources: [files]", "sources.0: expected keys and values.*write {kind: files}"),
    _file("sources: [{path: x}]", "sources.0: no kind is given .*choose from files"),
    _file("sources: [{kind: file}]", "sources.0: no kind 'file', expected files", "files"),
    _file("sources: [{kind: files, name: a}]", "job.yaml: sources.0.path: is missing"),
    _file(
        "sources: [{kind: files, name: a, pth: x}]",
        "sources.0.pth: unknown key of kind files",
        "path",
    ),
    _file(
        "sources: [{kind: files, name: a/b, path: x}]",
        r"sources.0.name: use letters, digits, '.', '_' and '-' only .found 'a/b'",
    ),
    _file(
        "sources: [{kind: files, name: .., path: x}]",
        "'..' names other files",
    ),
    _file(
        "sources: [{kind: files, name: a, path: x, targets: {gap: {column: g}}}]",
        "sources.0.targets.gap: unknown target 'gap'",
        "band_gap",
    ),
    _file(
        "sources: [{kind: files, name: a, path: x, targets: {band_gap: {colum: g, "
        "label_scheme: PBE}}}]",
        "sources.0.targets.band_gap.colum: unknown key",
        "column",
    ),
    _file(
        "sources: [{kind: files, name: a, path: x, labels: l.csv}]",
        "sources.0: labels is 'l.csv' but targets is empty",
    ),
    _file(
        "sources: [{kind: synthetic}, {kind: synthetic, seed: 1}]",
        "two sources are named synthetic; rename one",
    ),
    _file(
        "sources: [{kind: textbook}]\ntraining: {sources: [textbook]}",
        "'textbook' holds unlabelled examples",
    ),
    _file(
        "sources: [{kind: synthetic}]\ntraining: {sources: [sinthetic]}\n"
        "screening: {sources: [synthetic]}",
        "training.sources names 'sinthetic', which is neither among `sources` nor in",
        "synthetic",
    ),
    _file(
        "sources: [{kind: synthetic}]\ntraining: {sources: [synthetic]}\n"
        "screening: {sources: [synthetics]}",
        "screening.sources names 'synthetics', which is neither among",
        "synthetic",
    ),
    _file("sources: [{kind: synthetic}]", "nothing to work on: set training.sources"),
    _file(
        "sources: [{kind: vasp, name: runs, path: nowhere}]",
        "source runs: no file or folder nowhere",
    ),
    _file(
        "sources: [{kind: files, name: a, path: foldr}]",
        "source a: no file or folder foldr",
        "folder",
    ),
    _file("screening: {score: {gap_window: [3, 1]}}", "lowest 3 is above highest 1"),
    _file("screening: {score: {gap_window: [3]}}", "gap_window.1: is missing"),
    _file("screening: {score: {gap_window: 3}}", "gap_window: expected a list"),
    _file("screening: {score: {gap_windw: [1, 2]}}", "unknown key", "gap_window"),
    _file("screening: {score: {energy_weight: 2}}", "energy_weight: must be at most 1"),
    _file(
        "screening: {score: {criteria: [{kind: windw, column: band_gap}]}}",
        "screening.score.criteria.0: no kind 'windw'",
        "window",
    ),
    _file(
        "screening: {score: {criteria: [{kind: below, column: bandgap, midpoint: 1, "
        "width: 1}]}}",
        "criteria.0.column: unknown target 'bandgap'",
        "band_gap",
    ),
    _file(
        "screening: {score: {criteria: [{kind: window, column: band_gap, low: 3, high: 1, "
        "width: 1}]}}",
        "criteria.0: low 3 is above high 1; swap them",
    ),
    _file(
        "screening: {score: {criteria: [{kind: below, column: band_gap, midpoint: 1, "
        "width: 1, weight: 0}]}}",
        "no criterion has a weight above 0",
    ),
    _file(
        "screening: {score: {gap_width: 1, criteria: [{kind: below, column: band_gap, "
        "midpoint: 1, width: 1}]}}",
        "criteria and gap_width are both given",
    ),
    _file("screening: {prescreen: {}}", "prescreen.models: is missing.*keep: is missing"),
    _file("screening: {prescreen: {models: [], keep: 1}}", "models: at least 1 value"),
    _file("screening: {prescreen: {models: [a], keep: 1.5}}", "keep: give a whole number"),
    _file(
        "screening: {device: tpu}", "screening.device: expected auto, cpu or cuda", "cpu"
    ),
    _file("screening: {name: a/b}", "screening.name: use letters"),
    _file("screening: {top_k: all}", "screening.top_k: expected a whole number"),
    _file("linking: {symprecs: [0.1, 0.01]}", "linking.symprecs: they do not ascend"),
    _file("linking: {symprec: [0.1]}", "linking.symprec: unknown key", "symprecs"),
    _file("gate: {max_rows_lost: 5}", "gate.max_rows_lost: must be at most 1 .found 5"),
    _file("gate: {max_row_lost: 0.5}", "gate.max_row_lost: unknown key", "max_rows_lost"),
    _file("retraining: {start: champ}", "expected fresh or champion", "champion"),
    _file("finetuning: {freeze: embeding}", "freeze: expected none", "embedding"),
    _file("execution: {runner: thread}", "execution.runner: expected", "threads"),
    _file("execution: {workers: 0}", "execution.workers: must be at least 1"),
    _file("schedule: {timezone: Mars}", "schedule.timezone: no such time zone"),
    _file("schedule: {timezone: Europe/Berln}", "no such time zone", "Europe/Berlin"),
    _file("schedule: {rescreen: [1]}", "schedule.rescreen: expected text or a number"),
    _file("a: 1\nb: 2\nc: 3\nd: 4", "a: unknown key; .*; and 1 more"),
)

OVERRIDES = (
    _set("training.epochs", "write key=value"),
    _set("=3", "write key=value"),
    _set("training.epoch=3", r"--set 'training.epoch=3': unknown key", "epochs"),
    _set("trainin.epochs=3", "trainin: unknown key", "training"),
    _set("epochs=3", "--set 'epochs=3': unknown key", "training.epochs"),
    _set("training.epochs.x=3", "training.epochs: expected a whole number"),
    _set("training=3", "--set 'training=3': expected keys and values .found 3"),
    _set("training.epochs=[1", "the value is not valid YAML .line 1"),
    _set("training.epochs=a: b: c", "the value is not valid YAML"),
    _set("sources.0.path=x", "there is no list in which 0 could be a position"),
    _set("3=x", "there is no list in which 3"),
    _set("store=/x #1/s", "'#1/s' is a comment in YAML and would be lost"),
    _set("store=no", "expected text .found false.; put it in quotes"),
    _set("store=2026-11-25", "expected text .*2026-11-25.*; put it in quotes"),
    _set("store=", "expected text .found nothing"),
    _set("store=!x y", "the value is not valid YAML"),
    _set("training.targets=[love]", "unknown target 'love'; known"),
    _set("model.kind=megnett", "model: no kind 'megnett'", "megnet"),
    _set(
        "sources.1.seed=1",
        "'1' is no position in a list of 1",
        "",
        "ingest --source textbook",
    ),
    _set(
        "sources.a=1", "'a' is no position in a list of 1", "", "ingest --source textbook"
    ),
    _set("sources.0.n_structures=0", "must be at least 1", "", "ingest --source synthetic"),
    _set("sources.0.thermo_type=GGA", "expected GGA_GGA.U, R2SCAN or", "GGA_GGA+U", MP),
    _set("sources.0.endpoint=http://x.example", "an address with https", "", MP),
    _set("sources.0.filter.nsites=[1,2]", "nsites=.1,2.': unknown key", "n_sites", MP),
    _set("sources.0.patience.n_tries=0", "must be at least 1", "", MP),
    _set("sources.0.patience.ntries=2", "ntries=2': unknown key", "n_tries", MP),
    # the file is right, so it is not blamed
    Bad(
        f"{JOB} --set training.epoch=5",
        "crystalgnn: --set 'training.epoch=5': unknown key",
        "epochs",
        "training: {epochs: 3}",
    ),
    # and the other way
    Bad(
        f"{JOB} --set training.seed=5",
        "crystalgnn: job.yaml: training.epoch: unknown key",
        "epochs",
        "training: {epoch: 3}",
    ),
    Bad(f"{JOB} --set store.deep.er=1", "nothing below 'deep' can be set", "", "store: a"),
    Bad(f"{JOB} --set store.deep=1", "store has no keys", "", "store: a"),
)

CALLS = (
    Bad("scren x.cif", "no such command 'scren'", "screen"),
    Bad("link", "no such command 'link'", "records link"),
    Bad("models shw", "no such command 'shw'", "show"),
    Bad("store chek", "no such command 'chek'", "check"),
    Bad("--stor x", "no such option: --stor"),
    Bad("predict x.cif --modle y", "no such option: --modle", "--model"),
    Bad("predict", "missing argument"),
    Bad("predict x.cif --model", "option '--model' requires an argument"),
    Bad("predict x.cif --model a --model b", "option --model is given twice"),
    Bad("evaluate --model a --model b", "option --model is given twice"),
    Bad("finetune --model a --model b", "option --model is given twice"),
    Bad("ingest --source textbook --source jarvis", "option --source is given twice"),
    Bad("train --store a --store b", "option --store is given twice"),
    Bad("demo extra", "unexpected extra argument"),
    Bad(
        "predict x.cif --batch-size 0",
        "'--batch-size': .*; see `.* predict --help`",
    ),
    Bad("predict x.cif --batch-size many", "'--batch-size': "),
    Bad("predict x.cif --output t.xlsx", "--output t.xlsx: .*end in .parquet or .csv"),
    Bad("predict x.cif --output folder", "--output folder: a folder"),
    Bad("predict x.cif", "no champion in store crystalgnn-store, which does not exist"),
    Bad("predict x.cif --model nobody", "no model 'nobody': .*crystalgnn-store"),
    Bad("predict x.cif --model champoin", "no model 'champoin'", "champion"),
    Bad(
        "predict x.cif --model cgcnn-mp2018-formation-enrgy",
        "no model .*models pretrained",
        "cgcnn-mp2018-formation-energy",
    ),
    Bad("predict x.cif --model cgcnn", "no model 'cgcnn'", "cgcnn-mp2018-"),
    Bad("predict x.cif --model champion:gap", "no champion for 'gap'"),
    Bad("predict x.cif --model no.zip", "no.zip: no such file"),
    Bad("predict x.cif --model {model}x --store {store}", "no model '.*x'", "{model}"),
    Bad("predict x.ciff --store {store}", "x.ciff: no such file or folder", "x.cif"),
    Bad("predict - - --store {store}", "- is given twice"),
    Bad("evaluate --split tst --store {store}", "no split 'tst'; choose one of", "test"),
    Bad("models show nobody", "no model 'nobody'"),
    Bad("models list --store missing", "no store missing; give its folder with --store"),
    Bad("models list --store x.cif", "--store x.cif: a file; give the folder"),
    Bad("models list --store folde", "no store folde; give its folder", "folder"),
    Bad("models promote {model}0 --store {store}", "no model .* in store", "{model}"),
    Bad("models rollback gap --store {store}", "no earlier champion for gap", "band_gap ["),
    Bad(
        "models pretrained cgcnn-mp2018-band-gaps", "no published", "cgcnn-mp2018-band-gap"
    ),
    Bad("models convert x.cif", "x.cif: .*ends in .pth.tar, .hdf5 or .zip"),
    Bad("models convert no.pth.tar", "no.pth.tar: no such file"),
    Bad("records show --store missing", "no store missing"),
    Bad("records verdict sinthetic --store {store}", "no source 'sinthetic'", "synthetic"),
    Bad("records rejects sinthetic --store {store}", "no source 'sinthetic'", "synthetic"),
    Bad("records accept sinthetic --store {store}", "no source 'sinthetic'", "synthetic"),
    Bad("records changes synthetic --since 99 --store {store}", "version 99 is not before"),
    Bad("records changes synthetic --since -1", "'--since': "),
    Bad("records changes synthetic", "missing option '--since'"),
    Bad(
        "records rejects synthetic --output a.txt --store {store}",
        "end in .parquet or .csv",
    ),
    Bad("records link --store missing", "no records in .*missing"),
    Bad("store check --store missing", "no store missing; give its folder with --store"),
    Bad("store compact --store folder --shard-size 0", "'--shard-size': "),
    Bad("ingest --source file", "no source of kind 'file'", "files"),
    Bad("ingest --source files", "--source files needs --path"),
    Bad("ingest --path x.cif", "--path describe a --source"),
    Bad("ingest --source vasp --path nowhere", "no file or folder nowhere"),
    Bad("ingest --source jarvis --release dft_3d_2025x", "--release: exp", "dft_3d_2025"),
    Bad("ingest --source jarvis --filter x", "--filter: unknown key of kind jarvis"),
    Bad("ingest --source textbook --url https://x.example", "--url: unknown key"),
    Bad("ingest --source optimade --provider oqdm", "unknown provider 'oqdm'", "oqmd"),
    Bad("ingest --source optimade --url x.example", "'x.example' is no address"),
    Bad(f"{CIF} --name a/b", "crystalgnn: --name: use letters, digits"),
    Bad(f"{CIF} --target bandgap=x@PBE", "--target.*unknown target 'bandgap'", "band_gap"),
    Bad(f"{CIF} --target band_gap=x", "TARGET=COLUMN@LABEL SCHEME"),
    Bad(f"{CIF} --target is_metal=x<=low@PBE", "is_metal.at_most: expected a number"),
    Bad("ingest --source synthetic --store ''", "--store: is empty"),
    Bad("screen missing", "no file or folder missing"),
    Bad("screen x.cif --name a/b", "crystalgnn: --name: use letters"),
    Bad("screen x.cif --model champoin", "no model 'champoin'", "champion"),
    # a folder is no YAML
    Bad("train --store 'a #1/s' --set training.sources=[b]", "in store .*/a #1/s, which"),
    Bad("train --store 2026-11-25 --set training.sources=[b]", "in store .*/2026-11-25, "),
    Bad("train --store no --set training.sources=[b]", "in store .*/no, which"),
    Bad("train", "nothing to work on: set training.sources"),
    Bad(
        "train --set training.sources=[a]",
        "no source 'a' in .* does not exist",
    ),
    Bad("train --store {store} --set training.sources=[sintetic]", "no", "synthetic"),
    Bad("build --store {store} --set training.sources=[sintetic]", "no", "synthetic"),
    Bad("rescreen --store {store} --set screening.sources=[sintetic]", "no", "synthetic"),
    Bad("screen --store {store} --set screening.sources=[sintetic]", "no", "synthetic"),
    Bad("finetune --store {store} --set training.sources=[sintetic]", "no", "synthetic"),
    Bad("serve", "no sources are configured"),
    Bad(f"{MP}", "MP_API_KEY"),
    Bad(f"{MP}", r"MP_API_KEY holds no key \(3 c", environment=(("MP_API_KEY", "abc"),)),
    Bad(
        "models pretrained",
        "CRYSTALGNN_CACHE is x.cif, which is a file",
        environment=(("CRYSTALGNN_CACHE", "x.cif"),),
    ),
)

BAD = (*FILES, *OVERRIDES, *CALLS)
