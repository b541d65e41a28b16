"""Presidio as another detector beside the rules: its recognizers, with or without a model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ...errors import MissingExtra
from .finding import Finding

__all__ = ["presidio"]

_KINDS = {
    "PERSON": "NAME", "LOCATION": "PLACE", "GPE": "PLACE", "NRP": "NAME",
    "ORGANIZATION": "ORGANIZATION", "DATE_TIME": "DATE", "PHONE_NUMBER": "PHONE",
    "EMAIL_ADDRESS": "EMAIL", "CREDIT_CARD": "CARD", "IBAN_CODE": "IBAN", "US_SSN": "SSN",
    "IP_ADDRESS": "IP_ADDRESS",
    "MAC_ADDRESS": "DEVICE_NUMBER", "URL": "URL",
    "US_PASSPORT": "LICENSE_NUMBER", "US_DRIVER_LICENSE": "LICENSE_NUMBER",
    "MEDICAL_LICENSE": "LICENSE_NUMBER",
    "US_BANK_NUMBER": "ACCOUNT_NUMBER", "CRYPTO": "ACCOUNT_NUMBER", "US_ITIN": "SSN",
    "UK_NHS": "RECORD_NUMBER", "US_MBI": "MEMBER_NUMBER",
}  # fmt: skip


# What needs a model, and what asks the network for a list of domains; the rules find both of these.
_LEFT_OUT = ("SpacyRecognizer", "EmailRecognizer", "UrlRecognizer")


class _Presidio:
    """An analyzer as a detector. A copy shares it: it holds models."""

    def __init__(
        self, analyzer: Any, language: str, least: float, kinds: Mapping[str, str]
    ) -> None:
        self._analyzer, self._language, self._least, self._kinds = analyzer, language, least, kinds

    def __deepcopy__(self, memo: dict[int, Any]) -> _Presidio:
        return self

    def __call__(self, text: str) -> Iterable[Finding]:
        """What Presidio's recognizers found, under our kinds."""
        found = self._analyzer.analyze(
            text=text, language=self._language, score_threshold=self._least
        )
        for each in found:
            kind = self._kinds.get(each.entity_type, "ID_NUMBER")
            yield Finding(
                each.start, each.end, kind, float(each.score), f"presidio {each.entity_type}"
            )


def presidio(analyzer: Any = None, *, language: str = "en", least: float = 0.4) -> Any:
    """Presidio's findings, for `Rules(others=[presidio()])` or as a detector by itself.

    Without an `analyzer` of yours its pattern recognizers are used over a blank pipeline of spaCy,
    which needs no model and no network: it finds cards, accounts, licences and the like, but no
    names, and leaves e-mail and domains to the rules. With
    `AnalyzerEngine()` over an installed model it finds names too. `least` is the least score.

    Raises `MissingExtra` where Presidio is not installed: `pip install 'compilm[presidio]'`.
    """
    return _Presidio(
        analyzer if analyzer is not None else _blank(language), language, least, _KINDS
    )


def _blank(language: str) -> Any:
    try:
        import spacy
        from presidio_analyzer import AnalyzerEngine, RecognizerRegistry
        from presidio_analyzer.nlp_engine import SpacyNlpEngine
    except ImportError as error:
        raise MissingExtra("presidio-analyzer", extra="presidio", purpose="use Presidio") from error

    class Blank(SpacyNlpEngine):
        """Words without a model."""

        def __init__(self) -> None:
            super().__init__(models=[{"lang_code": language, "model_name": f"blank_{language}"}])
            self.nlp = {language: spacy.blank(language)}

        def load(self) -> None:
            """Nothing is loaded."""

    registry = RecognizerRegistry(supported_languages=[language])
    registry.load_predefined_recognizers(languages=[language])
    for name in _LEFT_OUT:
        registry.remove_recognizer(name)
    return AnalyzerEngine(registry=registry, nlp_engine=Blank(), supported_languages=[language])
