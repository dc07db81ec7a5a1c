"""SPIFFE ids, by the examples of SPIFFE-ID.md and go-spiffe's rules."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshproxy.base.names import NamespacedName
from meshproxy.base.spiffe import SpiffeId

GOOD = (
    "spiffe://mesh.local/ns/shop/sa/cart",
    "spiffe://example.org",
    "spiffe://staging.acme.com/payments/mysql",
    "spiffe://a_b-c.1/A.b/_-",
    "spiffe://domain.test/path/.hidden/...",
)
BAD = (
    ("", "must begin with"),
    ("https://mesh.local/ns/a/sa/b", "must begin with"),
    ("SPIFFE://mesh.local/a", "must begin with"),
    ("spiffe://", "no trust domain"),
    ("spiffe:///path", "no trust domain"),
    ("spiffe://Mesh.local/a", "no trust domain"),
    ("spiffe://user@mesh.local/a", "no trust domain"),
    ("spiffe://mesh.local:443/a", "no trust domain"),
    ("spiffe://" + "a" * 256 + "/a", "no trust domain"),
    ("spiffe://mesh.local/", "part of a SPIFFE id's path"),
    ("spiffe://mesh.local/a/", "part of a SPIFFE id's path"),
    ("spiffe://mesh.local//a", "part of a SPIFFE id's path"),
    ("spiffe://mesh.local/a/../b", "part of a SPIFFE id's path"),
    ("spiffe://mesh.local/./b", "part of a SPIFFE id's path"),
    ("spiffe://mesh.local/a%20b", "part of a SPIFFE id's path"),
    ("spiffe://mesh.local/a?b=c", "part of a SPIFFE id's path"),
    ("spiffe://mesh.local/a#b", "part of a SPIFFE id's path"),
    ("spiffe://mesh.local/ä", "part of a SPIFFE id's path"),
    ("spiffe://mesh.local/a\n", "part of a SPIFFE id's path"),
    ("spiffe://mesh.local/" + "a" * 2048, "at most 2048"),
)


@pytest.mark.parametrize("text", GOOD)
def test_an_id_is_what_was_written(text: str) -> None:
    assert str(SpiffeId.parse(text)) == text


@pytest.mark.parametrize(("text", "message"), BAD)
def test_what_is_no_id_is_refused_with_a_reason(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SpiffeId.parse(text)


@pytest.mark.parametrize(
    ("text", "account"),
    [
        ("spiffe://mesh.local/ns/shop/sa/cart", NamespacedName("shop", "cart")),
        ("spiffe://1234.consul/ns/default/dc/dc1/svc/web", NamespacedName("default", "web")),
        ("spiffe://mesh.local/ns/shop/sa/cart/more", None),
        ("spiffe://mesh.local/x/ns/shop/sa/cart", None),
        ("spiffe://mesh.local", None),
    ],
)
def test_whose_id_it_is(text: str, account: NamespacedName | None) -> None:
    assert SpiffeId.parse(text).service_account == account


def test_a_service_account_has_one_id() -> None:
    made = SpiffeId.of_service_account("mesh.local", NamespacedName("shop", "cart"))
    assert str(made) == "spiffe://mesh.local/ns/shop/sa/cart"
    assert made.service_account == NamespacedName("shop", "cart")
    with pytest.raises(ValueError, match="path"):
        SpiffeId.of_service_account("mesh.local", NamespacedName("shop", "a b"))


@given(st.text(alphabet="spife:/.ab%?#@ A\n\x00", max_size=30).map(lambda text: f"spiffe://{text}"))
def test_any_text_is_an_id_or_a_value_error(text: str) -> None:
    try:
        assert str(SpiffeId.parse(text)) == text
    except ValueError:
        pass
