"""Tokens are drawn, listed in files by their digests, and recognised again."""

from pathlib import Path

import pytest

from metrics.errors import SettingsError
from metrics.tokens import Token, digest_of, new_token, parse_entry, prefixes_of, read_file


@pytest.mark.parametrize("prefix", ["", "checkout."])
def test_a_drawn_token_is_recognised_by_its_line_alone(tmp_path: Path, prefix: str) -> None:
    """The line of a token has its digest and not the token, and makes it good for its keys."""
    secret, line = new_token(prefix)
    another, _ = new_token(prefix)
    listed = tmp_path / "tokens"
    listed.write_text(f"{line}\n", "utf-8")

    assert secret not in line
    assert prefixes_of(secret, read_file(str(listed))) == (prefix,)
    assert prefixes_of(another, read_file(str(listed))) == ()
    assert prefixes_of(line.partition("=")[2] or line, read_file(str(listed))) == ()


def test_no_token_is_drawn_for_what_is_no_prefix() -> None:
    """A prefix that no key has is refused."""
    with pytest.raises(SettingsError, match="no key begins with 'a b'"):
        new_token("a b")


def test_a_file_lists_tokens_and_comments(tmp_path: Path) -> None:
    """A file has a token or its digest on each line, for all keys or a prefix, and comments."""
    listed = tmp_path / "tokens"
    digest = digest_of("second")
    listed.write_text(
        f"# ours\n\n  first \r\nshop.*=first\n*=sha256:{digest.upper()}\n", "utf-8-sig"
    )

    tokens = read_file(str(listed))

    assert tokens == (
        Token("first"),
        Token("first", "shop."),
        Token(f"sha256:{digest.upper()}"),
    )
    assert prefixes_of("first", tokens) == ("", "shop.")
    assert prefixes_of("second", tokens) == ("",)
    assert "first" not in repr(tokens)
    assert digest.upper() not in repr(tokens)


@pytest.mark.parametrize(
    ("content", "rule"),
    [
        (b"", "has no token in it"),
        (b"# nothing\n\n", "has no token in it"),
        (b"good\nshop.=hunter2\n", "line 2: an entry must be token"),
        (b"hunter2 hunter2\n", "line 1: an entry must be token"),
        (b"sha256:abcdef\n", "line 1: an entry must be token"),
        (b"hunter2\xff\n", "it is no text in UTF-8"),
        (b"x" * 1_048_577, "may have 1048576 bytes"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_and_not_shown(
    tmp_path: Path, content: bytes, rule: str
) -> None:
    """A file without tokens, or with a line that is none, is refused by name and not shown."""
    listed = tmp_path / "tokens"
    listed.write_bytes(content)

    with pytest.raises(SettingsError, match=rule) as caught:
        read_file(str(listed))

    assert str(listed) in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    """A file that cannot be opened is refused, and the error says why."""
    with pytest.raises(SettingsError, match="cannot be read: No such file"):
        read_file(str(tmp_path / "tokens"))


def test_a_digest_that_was_cut_short_is_no_token() -> None:
    """What begins like a digest and is none does not become a token that somebody has read."""
    assert parse_entry(f"sha256:{digest_of('a')[:-1]}") is None
    assert parse_entry(f"sha256:{digest_of('a')}") is not None
