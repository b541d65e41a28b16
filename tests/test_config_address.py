"""The address of a server stands in the configuration, its password never."""

from __future__ import annotations

from pathlib import Path

from tests.test_config import load, refused


def test_the_address_of_redis_holds_no_password_and_none_is_repeated(tmp_path: Path) -> None:
    config = load(
        tmp_path,
        '[runtime]\ncache = "redis"\nredis_password_env = "REDIS_WORD"',
        env={"COMPILM_RUNTIME_REDIS_URL": "rediss://cache.internal:6380/1"},
    )
    assert config.runtime.redis_url == "rediss://cache.internal:6380/1"
    assert config.runtime.redis_password_env == "REDIS_WORD"
    word = "s3cret-word"
    for url in (f"redis://:{word}@h/0", f"redis://h?password={word}", f"redis//:{word}@h"):
        assert word not in refused(tmp_path, f'runtime.redis_url = "{url}"')
        assert word not in refused(tmp_path, f'runtime.redis_url = ["{url}"]')
        assert word not in refused(tmp_path, "", env={"COMPILM_RUNTIME_REDIS_URL": url})
        assert word not in refused(tmp_path, "", settings=(f"runtime.redis_url={url}",))
