"""The entries of the catalogue of published models: addresses, digests, stated errors."""

from __future__ import annotations

from crystalgnn_core.models.published.entry import PublishedEntry, StatedError
from crystalgnn_core.records.label_schemes import JARVIS_OPTB88VDW, MBJ, MP_LEGACY
from crystalgnn_core.remote.downloads import RemoteFile

_CGCNN = "https://github.com/txie-93/cgcnn"
_MEGNET = "https://github.com/materialsvirtuallab/megnet"
_ALIGNN = "https://figshare.com/projects/ALIGNN_models/126478"
_RAW = "https://raw.githubusercontent.com"
_ALIGNN_JARVIS = 17005681  # Figshare article "ALIGNN models on JARVIS-DFT dataset"


# files that were examined: size and SHA-256; of the others these are recorded at first use
_EXAMINED: dict[str, tuple[int, str]] = {
    "band-gap.pth.tar": (
        791173,
        "d269775b9be0995c046abed3dd6556c281a3eff7b2e1d73cf81b99e2a1d4aa6c",
    ),
    "bulk-moduli.pth.tar": (
        791176,
        "0a3f66b9a0ee6acef11bb852717424a6c3560073239c17bdbea568cc43816dd3",
    ),
    "formation-energy-per-atom.pth.tar": (
        791195,
        "e2f8bb910744f2c2f21d968285b6fd4316d795d0f3e7465ed0e3b4f3c92651a1",
    ),
    "shear-moduli.pth.tar": (
        791176,
        "34173bc59a0a8f9f74021155b304b74d9e709b1ff241d3f02e83031c9deb216c",
    ),
    "band_gap_regression.hdf5": (
        820992,
        "e149197440863b06e819c3cc11550f7c78eee329b916112dab84d884d21306de",
    ),
    "band_gap_regression.hdf5.json": (
        2762,
        "96285e10309b8bc4091ec5c45b784958b3626e3b0d70ace96493717341438be9",
    ),
    "formation_energy.hdf5": (
        820992,
        "82363f6ef74747f67bccd75fa0237dfaab5f0da519bf5f9cf8f4bcc11c53712b",
    ),
    "formation_energy.hdf5.json": (
        2792,
        "46566670b0c5ab13ebe6497ea3383fe772e90fe62517282448387694896cabd0",
    ),
    "log10G.hdf5": (
        822256,
        "f62c31daa7a8d984c7f094ea7e70e4940c14417e4368d7297b567a907430dea2",
    ),
    "log10G.hdf5.json": (
        2772,
        "c4eda11354f7d240d2a75a8a6aafa67005cc2c6a96351b7330095495a6bbaa79",
    ),
    "log10K.hdf5": (
        822256,
        "283e249977d9ac718c92a28590f35bf6ba53f49642469b98e11627a03e24dd05",
    ),
    "log10K.hdf5.json": (
        2770,
        "96415cd0a10c00f174fd8b7560d0df1588f877e9df619f74a0aa702624dd32f4",
    ),
}


def _cgcnn(
    name: str, target: str, rows: str, file: str, error: StatedError | None = None
) -> PublishedEntry:
    """Describe a checkpoint of the CGCNN repository."""
    return PublishedEntry(
        name=f"cgcnn-mp2018-{name}",
        network="cgcnn",
        target=target,
        data_set=f"MP, April 2017{rows}",
        label_scheme=MP_LEGACY,
        license="MIT",
        error=error,
        citation="Xie & Grossman, Phys. Rev. Lett. 120, 145301 (2018)",
        source=_CGCNN,
        files=(_remote(f"{_RAW}/txie-93/cgcnn/master/pre-trained/{file}", file),),
        is_verified=file in _EXAMINED,
    )


def _megnet(
    name: str, target: str, rows: str, file: str, error: tuple[float, str] | None = None
) -> PublishedEntry:
    """Describe a model of mp-2018.6.1: Keras file, and settings beside it."""
    folder = f"{_RAW}/materialsvirtuallab/megnet/master/mvl_models/mp-2018.6.1"
    return PublishedEntry(
        name=f"megnet-mp2018-{name}",
        network="megnet",
        target=target,
        data_set=f"MP, June 2018, {rows}",
        label_scheme=MP_LEGACY,
        license="BSD-3-Clause",
        error=None if error is None else _error(*error, _README),
        citation="Chen et al., Chem. Mater. 31, 3564 (2019)",
        source=_MEGNET,
        files=tuple(_remote(f"{folder}/{each}", each) for each in (file, f"{file}.json")),
        is_verified=file in _EXAMINED,
    )


def _alignn(
    name: str, target: str, labels: tuple[str, str], number: int, error: tuple[float, str]
) -> PublishedEntry:
    """Describe an archive of ALIGNN; labels: data set and scheme, number: on Figshare."""
    address = f"https://ndownloader.figshare.com/files/{number}"
    return PublishedEntry(
        name=name,
        network="alignn",
        target=target,
        data_set=labels[0],
        label_scheme=labels[1],
        license="",
        error=_error(*error, _README),
        citation="Choudhary & DeCost, npj Comput. Mater. 7, 185 (2021)",
        source=_ALIGNN,
        files=(_remote(address, f"{name}.zip"),),
        figshare=(_ALIGNN_JARVIS, number) if name.startswith("jv_") else None,
        is_verified=False,
    )


def _remote(address: str, name: str) -> RemoteFile:
    n_bytes, sha256 = _EXAMINED.get(name, (None, ""))
    return RemoteFile(url=address, name=name, n_bytes=n_bytes, sha256=sha256)


def _error(value: float, unit: str, measured_on: str) -> StatedError:
    return StatedError(value=value, unit=unit, measured_on=measured_on)


_PAPER = "test rows, paper"
_IN_FILE = "validation rows, checkpoint"
_README = "test rows, README"
_FORMATION, _LOG, _EV = "formation_energy_per_atom", "log10(GPa)", "eV/atom"
_JARVIS = ("JARVIS-DFT, 2021", JARVIS_OPTB88VDW)
_MBJ = ("JARVIS-DFT, 2021, TBmBJ", MBJ)
_MP2018 = ("MP, June 2018", MP_LEGACY)
ENTRIES: tuple[PublishedEntry, ...] = (
    _cgcnn(
        "formation-energy",
        _FORMATION,
        ", 28,046 rows",
        "formation-energy-per-atom.pth.tar",
        _error(0.039, _EV, _PAPER),
    ),
    _cgcnn(
        "band-gap",
        "band_gap",
        ", 16,458 rows, non-metals",
        "band-gap.pth.tar",
        _error(0.388, "eV", _PAPER),
    ),
    _cgcnn(
        "bulk-modulus",
        "bulk_modulus",
        ", 2,041 rows",
        "bulk-moduli.pth.tar",
        _error(0.055, _LOG, _IN_FILE),
    ),
    _cgcnn(
        "shear-modulus",
        "shear_modulus",
        ", 2,041 rows",
        "shear-moduli.pth.tar",
        _error(0.091, _LOG, _IN_FILE),
    ),
    _cgcnn("fermi-energy", "fermi_energy", "", "efermi.pth.tar"),
    _cgcnn("poisson-ratio", "poisson_ratio", "", "poisson-ratio.pth.tar"),
    _cgcnn("is-metal", "is_metal", "", "semi-metal-classification.pth.tar"),
    _megnet(
        "formation-energy", _FORMATION, "60,000 rows", "formation_energy.hdf5", (0.028, _EV)
    ),
    _megnet(
        "band-gap",
        "band_gap",
        "45,901 rows, non-metals",
        "band_gap_regression.hdf5",
        (0.33, "eV"),
    ),
    _megnet("bulk-modulus", "bulk_modulus", "5,830 rows", "log10K.hdf5", (0.050, _LOG)),
    _megnet("shear-modulus", "shear_modulus", "5,830 rows", "log10G.hdf5", (0.079, _LOG)),
    _megnet("is-metal", "is_metal", "69,239 rows", "band_classification.hdf5"),
    _alignn(
        "jv_formation_energy_peratom_alignn", _FORMATION, _JARVIS, 31458679, (0.033, _EV)
    ),
    _alignn("jv_optb88vdw_bandgap_alignn", "band_gap", _JARVIS, 31459636, (0.14, "eV")),
    _alignn("jv_mbj_bandgap_alignn", "band_gap", _MBJ, 31458694, (0.31, "eV")),
    _alignn("jv_bulk_modulus_kv_alignn", "bulk_modulus", _JARVIS, 31458649, (10.40, "GPa")),
    _alignn(
        "jv_shear_modulus_gv_alignn", "shear_modulus", _JARVIS, 31458724, (9.48, "GPa")
    ),
    _alignn("mp_e_form_alignn", _FORMATION, _MP2018, 31458811, (0.022, _EV)),
    _alignn("mp_gappbe_alignn", "band_gap", _MP2018, 31458814, (0.218, "eV")),
)
