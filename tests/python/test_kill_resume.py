"""kill -9 at random moments, then --resume: the same bytes (tests/kill_resume.py)."""

import random


def test_ten_kills(capsys):
    import kill_resume

    assert kill_resume.main(["--seed", str(random.randrange(10**6))]) == 0, capsys.readouterr().out
