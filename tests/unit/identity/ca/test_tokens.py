"""Bootstrap tokens: once, in time, for one account, and nothing to steal from the disk."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshproxy.base.names import NamespacedName
from meshproxy.identity.ca.tokens import KEEP_EXPIRED, TokenRefused, Tokens

CART = NamespacedName("shop", "cart")


@pytest.fixture
def tokens(tmp_path: Path) -> Tokens:
    return Tokens(tmp_path / "tokens")


def test_a_token_is_for_its_account(tokens: Tokens) -> None:
    text = tokens.create(CART, now=0, lifetime=60)
    assert tokens.spend(text, "key", now=60).account == CART


def test_the_same_key_may_repeat_and_another_may_not(tokens: Tokens) -> None:
    """An answer may be lost on its way; a token that two keys come with has been stolen."""
    text = tokens.create(CART, now=0, lifetime=60)
    tokens.spend(text, "mine", now=1)
    tokens.spend(text, "mine", now=2)
    with pytest.raises(TokenRefused, match="was used before, with another key") as refused:
        tokens.spend(text, "thief's", now=3)
    assert refused.value.alarming
    assert refused.value.token_id == text.partition(".")[0]


def test_a_token_expires(tokens: Tokens) -> None:
    text = tokens.create(CART, now=0, lifetime=60)
    with pytest.raises(TokenRefused, match="expired 10 s ago") as refused:
        tokens.spend(text, "key", now=70)
    assert not refused.value.alarming


def test_the_disk_holds_no_token(tokens: Tokens, tmp_path: Path) -> None:
    secret = tokens.create(CART, now=0, lifetime=60).partition(".")[2]
    for path in (tmp_path / "tokens").iterdir():
        assert secret not in path.read_text()


def test_old_tokens_are_forgotten(tokens: Tokens, tmp_path: Path) -> None:
    tokens.spend(tokens.create(CART, now=0, lifetime=60), "key", now=1)
    tokens.create(CART, now=61 + KEEP_EXPIRED, lifetime=60)
    assert [state.used for state in tokens.states()] == [False]
    assert len(list((tmp_path / "tokens").iterdir())) == 1


def test_damaged_files_are_no_tokens(tokens: Tokens, tmp_path: Path) -> None:
    text = tokens.create(CART, now=0, lifetime=60)
    (tmp_path / "tokens" / f"{text.partition('.')[0]}.json").write_text("{")
    assert tokens.states() == []
    with pytest.raises(TokenRefused, match="no such token"):
        tokens.spend(text, "key", now=1)


def test_a_wrong_secret_is_no_token(tokens: Tokens) -> None:
    text = tokens.create(CART, now=0, lifetime=60)
    with pytest.raises(TokenRefused, match="no such token"):
        tokens.spend(text[:-1] + ("a" if text[-1] != "a" else "b"), "key", now=1)
    tokens.spend(text, "key", now=1)


@given(st.text(max_size=60) | st.sampled_from(["../../etc/passwd.x", ".", "0123456789abcdef.", "a" * 100]))
def test_any_text_is_refused(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    with pytest.raises(TokenRefused):
        Tokens(tmp_path_factory.getbasetemp()).spend(text, "key", now=0)
