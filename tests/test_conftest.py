"""The tests' own walls stand: a name or an address beyond this computer is refused."""

from __future__ import annotations

import os
import socket
import threading

import pytest
from hypothesis import settings


def test_a_name_beyond_this_computer_is_not_looked_up() -> None:
    with pytest.raises(OSError, match=r"no network; asked for 'example\.org'"):
        socket.getaddrinfo("example.org", 443)


def test_an_address_beyond_this_computer_is_not_connected() -> None:
    with socket.socket() as one, pytest.raises(OSError, match="no network"):
        one.connect(("192.0.2.1", 443))


def test_this_computer_can_be_connected() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        answer = threading.Thread(target=lambda: server.accept()[0].close())
        answer.start()
        socket.create_connection(server.getsockname()).close()
        answer.join()


def test_no_key_of_the_developer_is_seen() -> None:
    assert not {"ANTHROPIC_API_KEY", "OPENAI_API_KEY"} & set(os.environ)


def test_no_example_fails_for_having_taken_long() -> None:
    assert settings().deadline is None
