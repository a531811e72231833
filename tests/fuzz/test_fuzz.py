from tests.fuzz.mutants import KINDS
from tests.fuzz.run import run

COUNT = 150  # `python -m tests.fuzz` decodes 3000
MAX_SECONDS = 60  # of each


def test_no_file_crashes_hangs_or_accesses_others():
    results = list(run(0, range(COUNT), MAX_SECONDS))
    assert {result.mutant.kind for result in results} == {maker.__name__ for maker in KINDS}
    bad = [f"{r.mutant.name} ({r.mutant.kind}): {r.outcome}: {r.detail}" for r in results if not r.fine]
    assert not bad, "\n".join(bad)
    assert min(sum(r.outcome == outcome for r in results) for outcome in ("decoded", "refused")) > COUNT // 5
