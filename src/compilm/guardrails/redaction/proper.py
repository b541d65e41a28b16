"""Names of people, places and institutions: by lists, by what stands around them, by capitals."""

from __future__ import annotations

import re
from collections.abc import Iterator

from .finding import Finding
from .lists import is_common, is_medicine, known
from .runs import INSTITUTION, TITLES, Run, runs
from .small import TOLD, small

__all__ = ["proper"]

_PERSON_BEFORE = re.compile(
    r"(?:\b(?:named|name(?:\sis|\s?:)|called|calling|patients?|pt|dr|doctor|mr|mrs|ms|miss|mx|prof"
    r"|professor|nurse|i['’]m|i am|this is|by|like|similar to|dear|sincerely|regards|signed|son"
    r"|daughter|wife|husband|mother|father|brother|sister|friend|contact|attn|attention|for|to it"
    r"|about|with|and|add|thank you|thanks|hi|hello|hey|beneficiary|male|female|man|woman|boy|girl"
    r"|yo|year-old|years old)[.,:]?\s+(?:dr\.?\s+|mrs?\.?\s+|ms\.?\s+)?)$|,\s$",
    re.IGNORECASE,
)
_TITLE_BEFORE = re.compile(
    r"\b(?:dr|mr|mrs|ms|miss|mx|prof|professor|doctor|nurse|sir)\.?\s+$", re.I
)
_PLACE_BEFORE = re.compile(
    r"\b(?:in|at|from|near|to|visit(?:ed|ing)?|outside|of|across|around|between|via|toward)\s+(?:the\s+|our\s+"
    r"|downtown\s+)?$",
    re.IGNORECASE,
)
_CARE_BEFORE = re.compile(
    r"\b(?:seen|treated|admitted|evaluated|followed|hospitali[sz]ed|referred|visit\w*|present\w*"
    r"|reviewed|consult\w*|diagnosed|attended|admission|appointment|care|lives?|living|resid\w+"
    r"|located|based|works?|born|moved|transferred|discharged|managed|encounter|surgery|underwent)"
    r"\s+(?:\w+\s+){0,2}?(?:at|to|in|by|from|of)\s+(?:the\s+|our\s+)?$",
    re.IGNORECASE,
)
_SOURCE_BEFORE = re.compile(
    r"\b(?:guidelines?|recommendations?|studies|study|research|data|published|according|advice"
    r"|findings|criteria|protocols?)\s+(?:\w+\s+)?(?:from|by|at|to|in|of)\s+(?:the\s+)?$",
    re.IGNORECASE,
)
_ACTS = re.compile(
    r"^(?:,\s|:|\sand\s[^\W\d_]|\s(?:is|was|were|are|had|has|have|will|lives?|lived|said|says|gave"
    r"|works?|called|wrote|from|went|told|asked|can|would|office|who|[a-z]{2,14}ed)\b|\s*$|\s*\n)"
)
_STATE_AFTER = re.compile(
    r"^,?\s+(?:A[KLRZ]|C[AOT]|D\.?C|DE|FL|GA|HI|I[ADLN]|K[SY]|LA|M[ADEINOST]|N[CDEHJMVY]|O[HKR]|PA|RI"
    r"|S[CD]|T[NX]|UT|V[AT]|W[AIVY]|USA?|U\.S\.A?\.?|UK)\b"
)
_AFTER = re.compile(r"^['’]?s?\s+(?P<word>[^\W\d_]+)(?:\s+(?P<next>[^\W\d_]+))?")
_AMONG = re.compile(r"[^\W\d_](?:,| and|, and)\s$")
_BESIDE = re.compile(r"^(?:,| and|, and| &)\s[A-ZÀ-Þ][a-zß-ÿ]+(?!\w)")
_AT_BEFORE = re.compile(r"\b(?:at|to|in|by|from)\s+(?:the\s+|our\s+)?$", re.IGNORECASE)
_CARES = frozenset(
    ["hospital", "clinic", "center", "centre", "medical", "university", "health", "infirmary"]
)
_LEGAL = frozenset(["inc", "ltd", "llc", "corp", "corporation", "gmbh"])
_SAID = frozenset(
    ["guideline", "guidelines", "criteria", "protocol", "protocols", "recommendation", "study"]
)
_CLINIC_AFTER = re.compile(r"^\s+(?:clinic|hospital|office|branch|location|facility|er|campus)\b")
_WIDE = re.compile(r"^\s+(?:metro|metropolitan|region|state|border|coast)\b", re.IGNORECASE)


def proper(text: str) -> Iterator[Finding]:
    """People, places and institutions.

    >>> text = "a woman with Wilson's disease, Ana P., seen at Elm Clinic"
    >>> [(each.kind, text[each.start : each.end]) for each in proper(text)]
    [('NAME', 'Ana P.'), ('ORGANIZATION', 'Elm Clinic')]
    """
    if not any(each.isupper() for each in text):
        yield from small(text)
        return
    for run in runs(text):
        found = _judged(text, run)
        if found is not None:
            yield found


def _judged(text: str, run: Run) -> Finding | None:
    before, after = text[max(0, run.start - 60) : run.start], text[run.end : run.end + 60]
    if _TITLE_BEFORE.search(before) or _is_introduced(run, before):
        return _made(run, "NAME", 0.9, "title")
    if INSTITUTION & _lows(run):
        return _institution(run, before, after)
    if _is_medical(run, after) and not _is_listed(run, before, after):
        return None
    if _is_person(run, before, after):
        if run.words[-1].is_initial and after.startswith("."):
            return Finding(run.start, run.end + 1, "NAME", 0.9, "name")
        return _made(run, "NAME", 0.9, "name")
    if run.low in known("places") or run.low in known("states"):
        return _place(run, before, after)
    return _unknown(run, before, after)


def _is_medical(run: Run, after: str) -> bool:
    """Whether all of it is medicine or plain words, or medicine named a thing after somebody."""
    words = run.words
    if run.low in known("places") or _stands_for_name(run, after):
        return False
    if all(word.is_plain or word.is_initial for word in words):
        named = any(word.low in known("given") or word.low in known("family") for word in words)
        return not named or len(words) == 1 or all(is_medicine(word.text) for word in words)
    found = _AFTER.match(after)
    first = found["word"].casefold() if found else ""
    second = (found["next"] or "").casefold() if found else ""
    names = {words[-1].text.casefold(), first, second} & known("followers")
    if names and any(is_medicine(word.text) for word in words):
        return True
    return len(words) == 1 and first in known("followers") and words[0].low not in known("given")


def _stands_for_name(run: Run, after: str) -> bool:
    """`Grace, can I` and `Mark is`: a given name that is a word as well, where a person stands."""
    first = run.words[0]
    return first.low in known("given") and not is_common(first.text) and bool(_ACTS.match(after))


def _lows(run: Run) -> set[str]:
    return {word.low for word in run.words}


def _is_introduced(run: Run, before: str) -> bool:
    """`I'm Thomas`: a listed name, where somebody says who it is."""
    listed = run.words[0].low in known("given") or run.words[0].low in known("family")
    return listed and TOLD.search(before.casefold()) is not None


def _is_listed(run: Run, before: str, after: str) -> bool:
    """`Marten, Wilson and Graves`: a surname that is a word or a disease's, among other names."""
    if run.words[-1].low not in known("family"):
        return False
    return _AMONG.search(before) is not None or _BESIDE.match(after) is not None


def _institution(run: Run, before: str, after: str) -> Finding | None:
    own = [word for word in run.words if not (word.low in INSTITUTION or is_common(word.text))]
    follows = _AFTER.match(after)
    if _SOURCE_BEFORE.search(before) or (follows and follows["word"].casefold() in _SAID):
        score = 0.4
    elif any(not word.is_code for word in own) or (own and _AT_BEFORE.search(before)):
        score = 0.85
    elif len(run.words) > 1 and (
        run.words[-1].low in _LEGAL or _AT_BEFORE.search(before) or (own and _CARES & _lows(run))
    ):
        score = 0.6
    else:
        return None if len(run.words) == 1 else _made(run, "ORGANIZATION", 0.35, "institution")
    return _made(run, "ORGANIZATION", score, "institution")


def _is_person(run: Run, before: str, after: str) -> bool:
    words = run.words
    if words[0].low in TITLES:
        return True
    given = [word.low in known("given") for word in words]
    if len(words) > 1 and (words[-1].is_initial or any(word.is_initial for word in words[1:])):
        return not words[0].is_code
    if any(given) and len(words) > 1:
        return run.low not in known("places")
    if given[0] and run.low not in known("places"):
        return not is_common(words[0].text) or bool(
            _ACTS.match(after) and _PERSON_BEFORE.search(before)
        )
    is_family = words[-1].low in known("family") and not is_common(words[-1].text)
    return is_family and run.low not in known("places")


def _place(run: Run, before: str, after: str) -> Finding | None:
    if run.low in known("states"):
        score = 0.45
    elif _WIDE.match(after) or _SOURCE_BEFORE.search(before):
        score = 0.4
    else:
        score = 0.75
    if is_common(run.low) and not _PLACE_BEFORE.search(before):
        return None
    follows = _STATE_AFTER.match(after)
    clinic = _CLINIC_AFTER.match(after)
    end = run.end + (follows.end() if follows else clinic.end() if clinic else 0)
    return Finding(run.start, end, "PLACE", 0.8 if follows else score, "place")


def _unknown(run: Run, before: str, after: str) -> Finding | None:
    """A proper name that no list has: the more speaks for it the surer."""
    if all(word.is_code or word.is_plain for word in run.words):
        cared = _CARE_BEFORE.search(before) is not None
        shout = all(word.text.isupper() and len(word.text) >= 4 for word in run.words)
        placed = _AT_BEFORE.search(before) or _PLACE_BEFORE.search(before)
        score = 0.6 if cared else 0.5 if shout and placed else 0.3
        return _made(run, "PLACE", score, "code")
    if _SOURCE_BEFORE.search(before):
        return _made(run, "ORGANIZATION", 0.4, "capitals")
    if _CARE_BEFORE.search(before) or _PLACE_BEFORE.search(before):
        follows = _STATE_AFTER.match(after)
        end = run.end + (follows.end() if follows else 0)
        return Finding(run.start, end, "PLACE", 0.65, "capitals")
    if _PERSON_BEFORE.search(before):
        return _made(run, "NAME", 0.65, "capitals")
    if not run.opens:
        return _made(run, "NAME", 0.55, "capitals")
    acts = _ACTS.match(after) is not None or run.words[-1].text.endswith(("'s", "’s"))
    return _made(
        run,
        "NAME",
        (0.55 if acts else 0.45) if len(run.words) > 1 else 0.5 if acts else 0.3,
        "capitals",
    )


def _made(run: Run, kind: str, score: float, rule: str) -> Finding:
    owns = (
        kind == "NAME"
        and run.words[0].low not in ("st", "saint")
        and run.words[-1].text.endswith(("'s", "’s"))
    )
    return Finding(run.start, run.end - (2 if owns else 0), kind, score, rule)
