"""`safelight token`."""

from __future__ import annotations

import pytest

from engine.cli import exits
from engine.cli.tokens import expiry_of, rate_of, scopes_of
from engine.server.token_file import PREFIX, TokenError

DAY = 86_400


def test_a_token_is_shown_once_and_listed_without_itself(base):
    made = base.run("token", "create", "alice", "--rate", "2/s", "--queue", "5", "--expires", "90d", apart=False)
    token = made.out.strip()
    assert token.startswith(PREFIX)
    listed = base.run("token", "list", apart=False).out
    assert token not in listed
    assert "alice  read,run  120/min, 5 in the queue" in listed
    (facts,) = base.json("token", "list", apart=False)
    assert (facts["name"], facts["rate_per_minute"], facts["queue"], facts["expired"]) == ("alice", 120, 5, False)
    assert facts["expires"] - facts["created"] == pytest.approx(90 * DAY, abs=60)


def test_a_token_is_revoked_and_only_one_that_is_there(base):
    base.run("token", "create", "alice", apart=False)
    told = base.run("token", "revoke", "alice", apart=False)
    assert "asks for one still" in told.said
    assert base.json("token", "list", apart=False) == []
    assert "there are: none" in base.run("token", "revoke", "alice", code=exits.USAGE, apart=False).said


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["Alice"], "small letters"),
        (["alice", "--scope", "write"], "--scope: expected some of run, read, admin"),
        (["alice", "--rate", "fast"], "--rate: expected"),
        (["alice", "--queue", "0"], "--queue: expected"),
        (["alice", "--expires", "2001-01-01"], "is over"),
    ],
)
def test_what_cannot_be_made_is_refused(base, options, told):
    assert told in base.run("token", "create", *options, code=exits.USAGE, apart=False).said
    assert base.json("token", "list", apart=False) == []


def test_rates_are_per_minute():
    assert [rate_of(text) for text in ("30", "30/min", "2/s", "60/h", "1440/d", None)] == [30, 30, 120, 1, 1, None]
    for text in ("", "-1/s", "0/s", "1/fortnight", "1e3/s", "nan"):
        with pytest.raises(TokenError, match="--rate"):
            rate_of(text)


def test_ends_are_spans_or_days():
    assert expiry_of("12h", now=0) == DAY / 2
    assert expiry_of("1970-01-03", now=0) == 2 * DAY
    assert expiry_of("1970-01-03T02:00+02:00", now=0) == 2 * DAY
    for text in ("soon", "12", "-1d", "1969-01-01"):
        with pytest.raises(TokenError, match="--expires"):
            expiry_of(text, now=0)


def test_scopes_are_words_with_commas():
    assert scopes_of(" run, read ") == {"run", "read"}
    for text in ("", ",", "run;read", "run,write"):
        with pytest.raises(TokenError, match="--scope"):
            scopes_of(text)
