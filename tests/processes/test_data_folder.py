"""The data folder is for its user alone."""

from pathlib import Path

import pytest
from redis import Redis

from metrics.errors import SettingsError
from ops.local.data_folder import own
from ops.local.password import FILE, Password
from ops.local.ports import free_port
from ops.local.redis_server import EmbeddedRedis
from tests.support.runs import shell

pytestmark = pytest.mark.every_server


def test_a_password_is_drawn_once_and_kept(tmp_path: Path) -> None:
    """A password is drawn once for each folder, kept for its user alone, and not in repr()."""
    password = Password.kept_in(tmp_path)

    assert len(password.text) == 64
    assert Password.kept_in(tmp_path) == password
    assert (tmp_path / FILE).stat().st_mode & 0o777 == 0o600
    assert password.text not in repr(password)
    (tmp_path / "other").mkdir()
    assert Password.kept_in(tmp_path / "other").text != password.text


def test_a_password_file_without_content_or_open_to_others_is_made_good(tmp_path: Path) -> None:
    """An empty password file gets a password, and one open to others is closed to them."""
    (tmp_path / FILE).write_text("\n", "utf-8")
    assert Password.kept_in(tmp_path).text
    (tmp_path / FILE).write_text("of my own\n", "utf-8")
    (tmp_path / FILE).chmod(0o644)

    assert Password.kept_in(tmp_path).text == "of my own"
    assert (tmp_path / FILE).stat().st_mode & 0o777 == 0o600


def test_a_password_that_cannot_be_read_is_one_clear_line(tmp_path: Path) -> None:
    """A password file that cannot be read is an error that names the file."""
    (tmp_path / FILE).mkdir()

    with pytest.raises(SettingsError, match=rf"^METRICS_DATA_DIR: .*{FILE} cannot be used: "):
        Password.kept_in(tmp_path)


def test_any_password_is_told_alike_to_server_client_and_shell(
    server: Path, tmp_path: Path
) -> None:
    """Any password in a folder of any name works for the server, the client and the shell."""
    folder = tmp_path / "it's [a] b"
    folder.mkdir()
    (folder / FILE).write_text("p\\a\"s's #$%@:/ wörd\n", "utf-8")
    password = Password.kept_in(folder)
    redis = EmbeddedRedis(server, port=free_port(), folder=folder, password=password).start()
    try:
        with Redis.from_url(redis.url) as client:
            assert client.ping()
        assert shell(f"{redis.cli} ping") == "PONG\n"
    finally:
        redis.stop()


def test_a_folder_of_another_user_is_used_and_said_to_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A data folder of another user is used, and a line on stderr says so."""

    def refuse(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(Path, "chmod", refuse)
    with own(tmp_path, "ops/run") as folder:
        assert folder == tmp_path

    assert f"METRICS_DATA_DIR: {tmp_path} belongs to another user" in capsys.readouterr().err
