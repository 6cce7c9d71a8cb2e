"""Settings: read once, every problem named."""

import re

import pytest

from metrics.errors import SettingsError
from metrics.settings import Settings, Token

REDIS = {"REDIS_URL": "redis://localhost:6379"}


def test_the_defaults_are_those_of_the_design() -> None:
    """Only where Redis is must be said."""
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
        claim_seconds=30,
        write_tokens=(),
        read_tokens=(),
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
        ("METRICS_CLAIM_SECONDS", "nan", "a number from 0.1 to 86400, got 'nan'"),
    ],
)
def test_a_bad_value_names_its_variable_and_what_is_allowed(
    name: str, text: str, rule: str
) -> None:
    """No default is taken in silence."""
    with pytest.raises(SettingsError, match=re.escape(f"{name} must be {rule}")):
        Settings.from_env({**REDIS, name: text})


def test_all_problems_are_told_at_once() -> None:
    """One start shows everything that must be mended."""
    with pytest.raises(SettingsError) as caught:
        Settings.from_env({"PORT": "x", "METRICS_PARTITIONS": "y"})

    for name in ("REDIS_URL", "PORT", "METRICS_PARTITIONS"):
        assert name in str(caught.value)


def test_a_bad_url_is_not_shown() -> None:
    """It may hold a password."""
    with pytest.raises(SettingsError, match="REDIS_URL must begin with one of redis://") as caught:
        Settings.from_env({"REDIS_URL": "http://user:hunter2@host"})

    assert "hunter2" not in str(caught.value)


def test_tokens_are_for_all_keys_or_for_a_prefix() -> None:
    """Comma-separated; a token may end in ``=`` as base64 does."""
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
    """It was meant to be a prefix."""
    with pytest.raises(SettingsError, match=r"METRICS_READ_TOKENS: an entry must be token or"):
        Settings.from_env({**REDIS, "METRICS_READ_TOKENS": "checkout.*"})
