"""The English words that decide what a question asks: the lists behind the guards.

Written by hand for this package, and English alone. A word that is missing here is no error of
the guard `words`, which compares all words; it matters where that guard is left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

__all__ = [
    "AMBIGUOUS",
    "ENGLISH",
    "FOREIGN",
    "GREETINGS",
    "LIGHT",
    "NEGATIONS",
    "NEGATIVE_FORMS",
    "NUMBERS",
    "ORDINALS",
    "PARTINGS",
    "PERSONS",
    "QUESTIONS",
    "SHORT_FORMS",
    "STARTERS",
    "SWITCHES",
    "TIMES",
    "UNITS",
]


def _each(*lines: str) -> Mapping[str, str]:
    """Each word of a line stands for the first of it."""
    return {word: line.split()[0] for line in lines for word in line.split()}


def _list(text: str) -> list[str]:
    return text.split()


def _set(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Left out of the comparison of words: with or without them, a question asks the same.
LIGHT: Final = _set("a an the please kindly")

_SMALL = _list(
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen "
    "sixteen seventeen eighteen nineteen"
)
_TENS = _list("twenty thirty forty fifty sixty seventy eighty ninety")
_NTHS = _list("first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth")
NUMBERS: Final[Mapping[str, int]] = {
    **{word: value for value, word in enumerate(_SMALL)},
    **{word: 10 * value for value, word in enumerate(_TENS, start=2)},
    "dozen": 12,
    "hundred": 100,
    "thousand": 1000,
    "million": 10**6,
    "billion": 10**9,
}
ORDINALS: Final[Mapping[str, int]] = {word: value for value, word in enumerate(_NTHS, start=1)}

NEGATIONS: Final = _set(
    "not no never none nobody nothing nowhere neither nor without except excepting excluding "
    "unless hardly barely scarcely rarely seldom unable instead rather lack lacks lacking avoid "
    "avoids avoiding fail fails failed failing refuse refuses refused refusing deny denies denied "
    "minus despite although but however only"
)
# What begins or ends so may be the opposite of what it is made of: such words must stay.
NEGATIVE_FORMS: Final = ("un", "in", "im", "il", "ir", "dis", "non", "mis", "anti", "de"), ("less",)

# Words that change what is asked, each with those that mean the same.
SWITCHES: Final = _each(
    "before until till prior", "after since following", "during", "more above over exceeding",
    "less fewer below under", "most highest greatest largest biggest maximum max top",
    "least lowest smallest minimum min bottom", "greater larger bigger higher", "lower smaller",
    "all every each", "any", "some", "both", "either", "or", "and", "another other",
    "include includes including included", "exclude excludes excluded", "increase increases "
    "increased increasing raise raises raised", "decrease decreases decreased decreasing reduce",
    "up", "down", "out", "on", "off", "in into", "onto", "from", "to", "by", "for", "against",
    "with", "between", "through", "about", "per", "than", "if", "same", "different", "equal",
    "first", "last latest", "next", "previous", "old older oldest", "new newer newest", "young "
    "younger youngest", "open opens opened opening", "close closes closed closing", "start "
    "starts begin begins", "stop stops end ends finish", "buy buys bought", "sell sells sold",
    "send sends sent sending", "receive receives received get gets got", "accept accepts accepted",
    "decline declines declined reject rejects rejected", "cancel cancels cancelled canceled",
    "confirm confirms confirmed", "enable enables enabled activate activates activated",
    "disable disables disabled deactivate deactivated",
    "allow allows allowed permit permitted",
    "block blocks "
    "blocked forbid forbidden", "add adds added", "remove removes removed delete deletes deleted",
    "win wins won", "lose loses lost", "lock locks locked", "pass passes passed", "high", "low",
    "big large", "small little", "long", "short", "hot", "cold", "good", "bad", "better", "worse",
    "best", "worst", "early earlier earliest", "late later", "left", "right", "north", "south",
    "east", "west", "man men", "woman women", "boy boys", "girl girls", "male", "female", "full",
    "empty", "true", "false", "yes", "credit", "debit", "public", "private", "average mean avg",
    "total sum", "count", "number", "median", "ascending asc", "descending desc", "distinct unique",
    "near", "far", "inside", "outside", "deposit", "withdraw withdrawal", "import", "export",
    "encode", "decode", "encrypt", "decrypt", "approve approves approved", "once", "twice",
    "single", "double", "half", "almost", "exactly", "approximately", "also", "too", "still",
    "forward forwards", "backward backwards back", "upward upwards", "downward downwards", "red",
    "orange", "yellow", "green", "blue", "purple", "violet", "pink", "brown", "black", "white",
    "gray grey", "gold golden", "silver", "dark", "light bright",
)  # fmt: skip

QUESTIONS: Final = _each(
    "who whom",
    "whose",
    "when",
    "where",
    "why",
    "which",
    "what",
    "how",
    "many",
    "much",
    "often",
    "can could",
    "may",
    "might",
    "must",
    "should shall",
    "will would",
    "whether",
    "list show find give return display",
    "explain describe",
    "compare",
    "summarize summarise",
    "translate",
)

PERSONS: Final = _each(
    "i me", "my mine", "we us", "our ours", "you", "your yours", "he him", "his", "she", "her hers",
    "they them", "their theirs", "it", "its",
)  # fmt: skip

TIMES: Final = _each(
    "was were had did been", "now currently today presently", "yesterday", "tomorrow", "tonight",
    "ago", "already", "yet", "ever", "again", "always", "sometimes", "usually", "morning", "noon",
    "evening", "night", "january jan", "february feb", "march", "april", "may", "june jun",
    "july jul", "august aug", "september sep sept", "october oct", "november nov", "december dec",
    "monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday", "weekend",
    "spring", "summer", "autumn fall", "winter", "daily", "weekly", "monthly", "yearly annual",
)  # fmt: skip

UNITS: Final = _each(
    "second seconds sec secs", "minute minutes mins", "hour hours hrs", "day days", "week weeks",
    "month months", "quarter quarters", "year years", "decade decades", "century centuries",
    "millimeter millimeters mm", "centimeter centimeters cm", "meter meters metre metres",
    "kilometer kilometers km", "inch inches", "foot feet ft", "yard yards", "mile miles", "gram "
    "grams", "kilogram kilograms kg kilo kilos", "pound pounds lb lbs", "ounce ounces oz", "ton "
    "tons", "tonne tonnes", "liter liters litre litres", "gallon gallons", "celsius", "fahrenheit",
    "kelvin", "percent percentage", "dollar dollars usd", "euro euros eur", "gbp", "yen jpy", "chf",
    "cent cents", "pence", "byte bytes", "kb", "mb", "gb", "tb", "volt volts", "watt watts",
    "degree degrees", "point points",
)  # fmt: skip

# Where a text begins or ends with them, it asks the same without.
GREETINGS: Final = tuple(
    tuple(line.split())
    for line in (
        "good morning", "good afternoon", "good evening", "hi there", "hello there", "hey there",
        "hi", "hello", "hey", "quick question",
    )
)  # fmt: skip
PARTINGS: Final = tuple(
    tuple(line.split())
    for line in (
        "thanks in advance", "thank you in advance", "thank you very much", "thank you so much",
        "thanks so much", "thanks a lot", "many thanks", "thank you", "thanks", "cheers",
    )
)  # fmt: skip

SHORT_FORMS: Final[Mapping[str, str]] = {
    "can't": "can not", "cannot": "can not", "won't": "will not", "shan't": "shall not",
    "cant": "can not", "wont": "will not", "dont": "do not", "doesnt": "does not",
    "didnt": "did not", "isnt": "is not", "arent": "are not", "wasnt": "was not",
    "havent": "have not", "hasnt": "has not", "couldnt": "could not", "wouldnt": "would not",
    "shouldnt": "should not", "im": "i am", "ive": "i have", "whats": "what is",
    "let's": "let us", "ain't": "is not",
    "what's": "what is", "who's": "who is", "where's": "where is", "how's": "how is",
    "it's": "it is", "that's": "that is", "there's": "there is", "here's": "here is",
}  # fmt: skip

# Words that no text in English of some length is without, and that few other languages have.
ENGLISH: Final = _set(
    "the and to of is are was were be been it this that these those with for from what which who "
    "when where why how my your his her their our you we they he she can could will would should "
    "does did has have had not by or if about into than there any all some more please i'm i've"
)
# Common words of other languages that are no English ones.
FOREIGN: Final = _set(
    "der das und ist nicht kein keine ein eine ich sie wir mit für auf von zu wie warum wann wo le "
    "les des du une et pas je vous nous dans sur avec que qui où quand comment mon el los las una "
    "es en por para como qué cuál cuándo dónde mi su del al il lo gli di che sono perché quando "
    "dove mio het een niet ik voor hoe wat waar mijn um uma não com meu och är inte det jag på til "
    "og ikke jeg nie jest się na jak czy ve bir için bu ne yang tidak saya untuk"
)

# Names that mean something else in small letters: their capitals must be the same.
AMBIGUOUS: Final = _set(
    "US IT WHO AM IN OR May March August Polish Turkey China Mark Bill Rose "
    "Amber Reading Nice Mobile Apple Amazon Windows Word Excel Access Visa Target Gap Oracle Will"
)

# With these a sentence begins; another capital there may be that of a name.
STARTERS: Final = ENGLISH | _set(
    "a an in on at as so but no yes i me tell show find list give get count return display select "
    "explain describe compare summarize translate write please hi hello hey good quick thanks "
    "thank cheers dear also then let is it do am may might must need want help make check see "
    "whose whom shall there here each every most many much only both after before during since "
    "because although while until unless without under over between one two three"
)
