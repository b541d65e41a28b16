"""Vectors from any server that speaks OpenAI's `/embeddings`: batched, retried, kept on disk."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

from ..clock import SYSTEM_CLOCK, Clock
from ..errors import CallFailed, DeadlineExceeded, ProviderRejected, UsageError
from ..randomness import rng
from .vector_cache import VectorCache

__all__ = ["OpenAIEmbedder"]

_REJECTED = frozenset((401, 402, 403))
_AGAIN = frozenset((408, 409, 429))
_CHARACTERS = 200_000  # of one request: OpenAI's bound is 300,000 tokens


class OpenAIEmbedder:
    """An embedder over the official SDK, whose own retries are off.

    Texts are asked for once each, in requests of at most `batch` of them, `parallel` at once.
    A request that fails in a way that may pass (no connection, no answer in `timeout` seconds,
    408, 409, 429, 5xx) is made up to `attempts` times, after waits that double, or as long as the
    server asks for. `patience` (seconds) bounds all of it. With `cache` (a file), a vector is
    asked for once ever. In tasks a thread waits. The key is the argument's, or the environment's
    (`OPENAI_API_KEY`).

    Raises:
        UsageError: settings that ask for nothing, or an empty text.
        ProviderRejected: the server refuses the account.
        DeadlineExceeded: `patience` was over.
        CallFailed: the server failed, or sent something else than a vector for each text.

    >>> embedder = OpenAIEmbedder("text-embedding-3-small", api_key="none", dimensions=512)
    >>> embedder.name
    'openai/text-embedding-3-small/512'
    """

    def __init__(
        self,
        model: str,
        *,
        base_url: str | None = None,
        api_key: str | None = None,
        dimensions: int | None = None,
        batch: int = 128,
        parallel: int = 4,
        attempts: int = 3,
        timeout: float = 20.0,
        patience: float = 60.0,
        cache: str | Path | None = None,
        clock: Clock = SYSTEM_CLOCK,
        seed: int = 0,
    ) -> None:
        if min(batch, parallel, attempts) < 1 or not timeout > 0 or not patience > 0:
            raise UsageError(
                f"batches of {batch}, {parallel} at once, {attempts} attempts of {timeout:g} s in "
                f"{patience:g} s ask for nothing: give more of each"
            )
        self.model, self.dimensions = model, dimensions
        self._client_of = partial(_client, base_url, api_key, timeout)
        self._client: Any = None
        self._lock = threading.Lock()  # protects the making of the client
        self._batch, self._attempts, self._patience = batch, attempts, patience
        self._cache = VectorCache(cache) if cache is not None else None
        self._clock, self._random = clock, rng(seed, "embeddings", model)
        self._requests = ThreadPoolExecutor(parallel, thread_name_prefix="compilm-embed")
        self._waiting = ThreadPoolExecutor(32, thread_name_prefix="compilm-aembed")

    def __deepcopy__(self, memo: dict[int, Any]) -> OpenAIEmbedder:
        return self

    @property
    def name(self) -> str:
        """`openai/<model>`, with the number of dimensions if it was given."""
        return "/".join(
            ["openai", self.model, *([str(self.dimensions)] if self.dimensions else [])]
        )

    def embed(self, texts: Sequence[str]) -> list[Any]:
        """A vector for each text."""
        if not all(text.strip() for text in texts):
            raise UsageError("an empty text has no embedding: leave it out")
        wanted = list(dict.fromkeys(texts))
        found = self._cache.get(self.name, wanted) if self._cache is not None else {}
        end = self._clock.now() + self._patience
        parts = list(self._parts([text for text in wanted if text not in found]))
        for part, vectors in zip(parts, self._requests.map(lambda p: self._asked(p, end), parts)):
            found |= zip(part, vectors)
        return [found[text] for text in texts]

    async def aembed(self, texts: Sequence[str]) -> list[Any]:
        """As `embed`, in a task."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._waiting, self.embed, texts)

    def close(self) -> None:
        """Close connections and cache."""
        self._requests.shutdown(wait=False)
        self._waiting.shutdown(wait=False)
        if self._client is not None:
            self._client.close()
        if self._cache is not None:
            self._cache.close()

    def _parts(self, texts: Sequence[str]) -> Iterator[list[str]]:
        part: list[str] = []
        size = 0
        for text in texts:
            if part and (len(part) == self._batch or size + len(text) > _CHARACTERS):
                yield part
                part, size = [], 0
            part.append(text)
            size += len(text)
        if part:
            yield part

    def _asked(self, texts: list[str], end: float) -> list[list[float]]:
        """The vectors of one request; kept as soon as they are there."""
        for attempt in range(1, self._attempts + 1):
            try:
                vectors = self._once(texts, end)
            except CallFailed as error:
                wait = _pause(error, attempt, self._random)
                if wait is None or attempt == self._attempts:
                    raise
                if self._clock.now() + wait >= end:
                    raise self._late() from error
                self._clock.sleep(wait)
            else:
                break
        if self._cache is not None:
            self._cache.put(self.name, dict(zip(texts, vectors)))
        return vectors

    def _once(self, texts: list[str], end: float) -> list[list[float]]:
        import openai

        left = end - self._clock.now()
        if left <= 0:
            raise self._late()
        client = self._opened()
        asked: dict[str, Any] = {"model": self.model, "input": texts, "encoding_format": "float"}
        if self.dimensions:
            asked["dimensions"] = self.dimensions
        try:
            answer = client.embeddings.create(**asked, timeout=min(client.timeout, left))
        except openai.OpenAIError as error:
            raise self._failed(error) from error
        except ValueError as error:
            raise CallFailed(f"{self.name}: the answer is no JSON") from error
        return self._vectors(answer, len(texts))

    def _vectors(self, answer: Any, count: int) -> list[list[float]]:
        data = sorted(getattr(answer, "data", None) or (), key=lambda each: each.index)
        vectors = [each.embedding for each in data]
        widths = {len(vector) if isinstance(vector, list) else 0 for vector in vectors}
        if len(vectors) != count or len(widths) != 1 or 0 in widths:
            raise CallFailed(
                f"{self.name}: {len(vectors)} vectors of widths {sorted(widths)} for {count} "
                "texts; one of one width for each was asked for"
            )
        return vectors

    def _failed(self, error: Any) -> CallFailed:
        status = getattr(error, "status_code", None)
        kind = ProviderRejected if status in _REJECTED else CallFailed
        told = f"answered {status}" if status else f"could not be asked ({type(error).__name__})"
        return kind(f"{self.name}: the server {told}")

    def _late(self) -> DeadlineExceeded:
        return DeadlineExceeded(f"{self.name}: no vectors within {self._patience:g} s")

    def _opened(self) -> Any:
        with self._lock:
            if self._client is None:
                self._client = self._client_of()
            return self._client


def _client(base_url: str | None, api_key: str | None, timeout: float) -> Any:
    import openai

    return openai.OpenAI(base_url=base_url, api_key=api_key, timeout=timeout, max_retries=0)


def _pause(error: CallFailed, attempt: int, random: Random) -> float | None:
    """Seconds to wait before asking again; `None` where asking again cannot help."""
    import openai

    cause = error.__cause__
    if isinstance(cause, openai.APIStatusError):
        if cause.status_code not in _AGAIN and cause.status_code < 500:
            return None
        told = cause.response.headers.get("retry-after", "")
        if told.replace(".", "", 1).isdigit():
            return float(told)
    elif not isinstance(cause, openai.APIConnectionError):
        return None
    return float(min(8.0, 0.5 * 2 ** (attempt - 1)) * (0.5 + random.random()))
