"""The lists of words that the rules read: names, places, terms of medicine, ordinary words."""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files

__all__ = ["is_common", "is_medicine", "known"]

# How ordinary English nouns and adverbs end; few names do.
_ORDINARY = re.compile(
    r".{3,}(?:tions?|sions?|ments?|ness|ities|ity|ences?|ances?|ings?|able|ible|ical|ously|ively"
    r"|ally|ology|otomy|ectomy|plasty|scopy|emia|aemia|itis|osis|pathy|graphy|ative|itive|ships?"
    r"|itions?|ures|iatric|ography|tomies|rapies|therapy|erapeutic)"
)
# The stems that generic names of drugs share, by the rules of the World Health Organization.
_DRUG = re.compile(
    r".{2,}(?:mab|nib|tinib|ciclib|pril|prilat|sartan|statin|olol|azole|cillin|mycin|micin|floxacin"
    r"|gliptin|gliflozin|glutide|natide|parin|xaban|gatran|tidine|prazole|dipine|triptan|cycline"
    r"|ciclovir|vir|azepam|zolam|zepam|barbital|caine|dronate|fibrate|formin|glitazone|grel|grelor"
    r"|lukast|oxetine|pramine|profen|coxib|setron|sone|solone|onide|terol|tropium|thiazide|semide"
    r"|trexate|platin|taxel|rubicin|tecan|bicin|oxacin|penem|cef\w*|afil|osin|zosin|idone|apine"
    r"|azine|peridol|lamide|amide|urea|zumab|ximab|cept|stim|poetin|kinra|limus|parib|degib|lisib"
    r"|fungin|quine|nidazole|bactam|sulfa\w*|oxin|arone|ilide|ivan|vaptan|renone|lactone|iptan)"
)


@cache
def known(name: str) -> frozenset[str]:
    """The entries of one list, in small letters; `;` or space parts them, `#` begins a remark.

    >>> "clara" in known("given"), "new york" in known("places")
    (True, True)
    """
    text = (files(__package__) / "lists" / f"{name}.txt").read_text("utf-8")
    found: set[str] = set()
    for line in text.splitlines():
        if not line.startswith("#"):
            parts = line.split(";") if ";" in line else line.split()
            found.update(part.strip() for part in parts)
    return frozenset(found - {""})


def is_common(word: str) -> bool:
    """Whether a word is ordinary English, by the list or by how it ends.

    >>> is_common("Recommendations"), is_common("Fairweather")
    (True, False)
    """
    low = word.casefold().removesuffix("'s").removesuffix("’s")
    if low in known("common"):
        return True
    if low in known("family") or low in known("given"):
        return False
    stem = low.removesuffix("ed") if low.endswith("ed") else low.removesuffix("ly")
    doubled = len(stem) > 3 and stem[-1] == stem[-2] and stem[:-1] in known("common")
    inflected = stem != low and bool({stem, stem + "e"} & known("common"))
    return inflected or (stem != low and doubled) or _ORDINARY.fullmatch(low) is not None


def is_medicine(word: str) -> bool:
    """Whether a word is a drug, or a person's name that medicine uses for a thing.

    >>> is_medicine("Losartan"), is_medicine("Framingham"), is_medicine("Fairweather")
    (True, True, False)
    """
    low = word.casefold().removesuffix("'s").removesuffix("’s")
    return low in known("medical") or _DRUG.fullmatch(low) is not None
