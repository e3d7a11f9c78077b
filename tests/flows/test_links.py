from crystalgnn_core.records.links.config import LinkConfig
from tasks.links import link_sources
from tests.core.records.disguises import disguise, store_crystals, textbook


def test_the_task_links_and_skips_what_it_knows(tmp_path):
    store_crystals(tmp_path, "a", {"x": textbook("Si")})
    store_crystals(tmp_path, "b", {"y": disguise(textbook("Si"), 1)})
    report = link_sources.fn(tmp_path, LinkConfig())
    assert report.n_joint == {"a & b": 1}
    assert not link_sources.fn(tmp_path, LinkConfig()).was_linked
