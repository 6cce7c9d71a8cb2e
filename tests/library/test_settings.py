"""Settings are read once, and every problem is named."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metrics.connection import Connection
from metrics.cross_site import CrossSiteRules
from metrics.errors import SettingsError
from metrics.settings import Settings, Token

REDIS = {"REDIS_URL": "redis://localhost:6379"}


def test_the_defaults_are_those_of_the_design() -> None:
    """Every setting but REDIS_URL has a default."""
    settings = Settings.from_env(REDIS)

    assert settings == Settings(
        redis_url="redis://localhost:6379",
        port=8000,
        partitions=16,
        retention_days=30,
        wait_replicas=0,
        dedupe_seconds=900,
        backlog_limit_entries=100_000,
        body_max_bytes=8_388_608,
        connections_max=4000,
        claim_seconds=30,
        lateness_seconds=10,
        write_tokens=(),
        read_tokens=(),
        host="0.0.0.0",  # noqa: S104
        allowed_hosts=(),
        allowed_origins=(),
    )


@pytest.mark.parametrize(
    ("name", "text", "rule"),
    [
        ("PORT", "80 80", "a whole number from 1 to 65535, got '80 80'"),
        ("PORT", "70000", "a whole number from 1 to 65535, got '70000'"),
        ("METRICS_PARTITIONS", "0", "a whole number from 1 to 16384, got '0'"),
        ("METRICS_PARTITIONS", "sixteen", "a whole number from 1 to 16384, got 'sixteen'"),
        ("METRICS_RETENTION_DAYS", "1.5", "a whole number from 1 to 36500, got '1.5'"),
        ("METRICS_WAIT_REPLICAS", "-1", "a whole number from 0 to 100, got '-1'"),
        ("METRICS_DEDUPE_SECONDS", "0", "a whole number from 1 to 31536000, got '0'"),
        ("METRICS_BACKLOG_LIMIT", "1e6", "a whole number from 1 to 1000000000, got '1e6'"),
        ("METRICS_MAX_BODY_BYTES", "8M", "a whole number from 1 to 1073741824, got '8M'"),
        ("METRICS_CONNECTIONS_MAX", "0", "a whole number from 1 to 1000000, got '0'"),
        ("METRICS_CLAIM_SECONDS", "nan", "a number from 0.1 to 86400, got 'nan'"),
    ],
)
def test_a_bad_value_names_its_variable_and_what_is_allowed(
    name: str, text: str, rule: str
) -> None:
    """A bad value raises an error that names its variable and what is allowed."""
    with pytest.raises(SettingsError, match=re.escape(f"{name} must be {rule}")):
        Settings.from_env({**REDIS, name: text})


def test_all_problems_are_told_at_once() -> None:
    """One error names all settings that are wrong."""
    with pytest.raises(SettingsError) as caught:
        Settings.from_env({"PORT": "x", "METRICS_PARTITIONS": "y"})

    for name in ("REDIS_URL", "PORT", "METRICS_PARTITIONS"):
        assert name in str(caught.value)


def test_a_bad_url_is_not_shown() -> None:
    """An error about REDIS_URL does not show a password in it."""
    with pytest.raises(SettingsError, match="REDIS_URL must begin with one of redis://") as caught:
        Settings.from_env({"REDIS_URL": "http://user:hunter2@host"})

    assert "hunter2" not in str(caught.value)


def test_tokens_are_for_all_keys_or_for_a_prefix() -> None:
    """A token is for all keys or for a prefix, and can end in ``=`` as base64 does."""
    settings = Settings.from_env(
        {**REDIS, "METRICS_WRITE_TOKENS": "all-of-it, checkout.*=c2VjcmV0== ,*=every"}
    )

    assert settings.write_tokens == (
        Token("all-of-it"),
        Token("c2VjcmV0==", "checkout."),
        Token("every"),
    )
    assert "c2VjcmV0" not in repr(settings)


def test_a_token_with_a_misplaced_star_is_refused() -> None:
    """An entry of tokens that is only a prefix is refused."""
    with pytest.raises(SettingsError, match=r"METRICS_READ_TOKENS: an entry must be token or"):
        Settings.from_env({**REDIS, "METRICS_READ_TOKENS": "checkout.*"})


@pytest.mark.parametrize("text", [",", " ", " , ,", "\t"])
def test_tokens_that_are_set_to_nothing_are_refused(text: str) -> None:
    """A variable for tokens that is set and has no token in it is refused."""
    with pytest.raises(SettingsError, match="METRICS_WRITE_TOKENS is set and has no token in it"):
        Settings.from_env({**REDIS, "METRICS_WRITE_TOKENS": text})


@pytest.mark.parametrize(
    "entry",
    [
        "shop.=hunter2",
        "shop=hunter2",
        "*shop=hunter2",
        "shop.*hunter2",
        "shop.*=",
        "*=",
        "=hunter2",
        ".shop*=hunter2",
        "shop/*=hunter2",
        "hunter2 hunter2",
        "shop.*=hunter2 x",
        "hunter2\u00e9",
        "hunter2\x00",
        f"{'s' * 129}*=hunter2",
    ],
)
def test_an_entry_that_is_no_token_is_refused_and_not_shown(entry: str) -> None:
    """An entry that is no token is refused, and the error does not show it."""
    for text in (entry, f"good,{entry}", f"{entry},good"):
        with pytest.raises(SettingsError, match="METRICS_WRITE_TOKENS: an entry must") as caught:
            Settings.from_env({**REDIS, "METRICS_WRITE_TOKENS": text})

        assert "hunter2" not in str(caught.value)


ENTRIES = st.text(st.sampled_from("shop.-_:*= ,ab1\u00e9\t/"), max_size=20)


@given(text=ENTRIES)
def test_whatever_tokens_are_set_to_nobody_may_write_more_than_is_said(text: str) -> None:
    """Each entry gives one token for what it names, and only an empty variable gives none."""
    try:
        tokens = Settings.from_env({**REDIS, "METRICS_WRITE_TOKENS": text}).write_tokens
    except SettingsError:
        return
    entries = [entry.strip() for entry in text.split(",") if entry.strip()]

    assert bool(tokens) == bool(text)
    assert [f"{token.prefix}*={token.secret}" for token in tokens] == [
        entry if "*" in entry else f"*={entry}" for entry in entries
    ]
    for token, entry in zip(tokens, entries, strict=True):
        assert token.prefix or "=" not in entry.rstrip("=") or entry.startswith("*=")


NAMES = st.sampled_from(
    [
        *("PORT", "METRICS_HOST", "METRICS_ALLOWED_HOSTS", "METRICS_ALLOWED_ORIGINS"),
        *(
            "METRICS_QUERY_URL",
            "METRICS_WRITE_TOKENS",
            "METRICS_READ_TOKENS",
            "METRICS_CLAIM_SECONDS",
        ),
        *("METRICS_PARTITIONS", "METRICS_RETENTION_DAYS", "METRICS_MAX_BODY_BYTES", "REDIS_URL"),
    ]
)
TEXTS = st.text(st.characters(max_codepoint=0x17F), max_size=30) | st.sampled_from(
    [
        *(
            "",
            " ",
            ",",
            "*",
            "0",
            "-1",
            "1e3",
            "\u0661",
            "9" * 5000,
            "[::]",
            "::",
            "::1",
            "[",
            "[]",
        ),
        *("http://a", "https://a:1/", "redis://", "redis://[", "redis://a..b:1/x", "redis://a:b@c"),
        *("unix://", "rediss://h?ssl_cert_reqs=x", "localhost:80", "a_b", "fe80::1%eth0"),
    ]
)


@given(variables=st.dictionaries(NAMES, TEXTS))
def test_settings_are_good_or_refused_with_the_name_of_each_bad_one(
    variables: dict[str, str],
) -> None:
    """Settings can be used, or are refused with the name of a bad one, whatever is set."""
    refusal = ""
    try:
        settings = Settings.from_env({**REDIS, **variables})
        Connection.open(settings.redis_url, timeout_s=1, connections_max=1).close()
        CrossSiteRules.of(settings).refusal("POST", "a", "http://a", None)
    except SettingsError as error:
        refusal = str(error)

    assert not refusal or any(name in refusal for name in variables)


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("", "0.0.0.0"),  # noqa: S104
        (" 127.0.0.1 ", "127.0.0.1"),
        ("[::1]", "::1"),
        ("::", "::"),
        ("localhost", "localhost"),
    ],
)
def test_a_host_is_an_address_or_a_name(text: str, host: str) -> None:
    """METRICS_HOST is a name or an address; an IPv6 address can have brackets."""
    assert Settings.from_env({**REDIS, "METRICS_HOST": text}).host == host


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("METRICS_HOST", "127.0.0.1:8000"),
        ("METRICS_HOST", "http://localhost"),
        ("METRICS_HOST", "[::1]:8000"),
        ("METRICS_ALLOWED_HOSTS", "metrics.example:8000"),
        ("METRICS_ALLOWED_HOSTS", "https://metrics.example"),
        ("METRICS_ALLOWED_ORIGINS", "dash.example"),
        ("METRICS_ALLOWED_ORIGINS", "https://dash.example/path"),
        ("METRICS_QUERY_URL", "query.example"),
        ("METRICS_QUERY_URL", "javascript:alert(1)"),
        ("METRICS_QUERY_URL", "https://query.example/$(id)"),
        ("METRICS_QUERY_URL", "https://query.example/?a=<b>"),
    ],
)
def test_what_is_no_host_origin_or_url_is_named(name: str, text: str) -> None:
    """A wrong host, origin or URL raises an error that shows its variable and the text."""
    with pytest.raises(SettingsError, match=re.escape(name)) as caught:
        Settings.from_env({**REDIS, name: text})

    assert repr(text) in str(caught.value)
