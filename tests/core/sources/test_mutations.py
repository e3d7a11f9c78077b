"""A short run of the campaign of changed files."""

from tests.campaigns.mutants import make_mutant, texts
from tests.campaigns.mutations import run_mutations

SEED, N_MUTANTS = 3, 250


def test_changed_files_are_read_or_refused_in_our_words_and_lose_no_row():
    results = run_mutations(SEED, range(N_MUTANTS))
    assert [r for r in results if r.problem] == []
    assert {result.format for result in results} == set(texts())
    assert sum(result.n_kept > 0 for result in results) > N_MUTANTS / 5
    assert sum(result.n_rejected > 0 for result in results) > N_MUTANTS / 5


def test_a_number_makes_the_same_file_again_and_another_number_another():
    mutants = [make_mutant(SEED, number) for number in range(40)]
    assert mutants == [make_mutant(SEED, number) for number in range(40)]
    assert len({mutant.content for mutant in mutants}) > 30  # some changes change nothing
    assert make_mutant(SEED + 1, 0) != mutants[0]
