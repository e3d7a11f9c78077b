from crystalgnn_core.screening.result import compare_contents


def test_every_material_is_counted_once():
    before = {"kept": "1", "edited": "1", "gone": "1", "gone too": "2"}
    after = {"kept": "1", "edited": "2", "fresh": "1"}
    changes = compare_contents(before, after)
    assert (changes.n_new, changes.n_changed, changes.n_removed, changes.n_unchanged) == (
        1,
        1,
        2,
        1,
    )


def test_a_rename_is_one_removed_and_one_new():
    changes = compare_contents({"a": "1"}, {"b": "1"})
    assert (changes.n_new, changes.n_removed, changes.n_unchanged) == (1, 1, 0)


def test_equal_contents_are_no_change_in_any_order():
    changes = compare_contents({"a": "1", "b": "2"}, {"b": "2", "a": "1"})
    assert (changes.n_unchanged, changes.n_new, changes.n_removed) == (2, 0, 0)


def test_a_removal_alone_is_a_change():
    assert compare_contents({"a": "1"}, {}).n_removed == 1
