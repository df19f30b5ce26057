"""What the screen looks for: one rule for each kind of identifier of a person.

Numbers are removed only where their form is sure (a social security number, a valid card or account number) or
a word beside them says what they are (mrn, nhs, phone, born). Checks: NHS number, weighted sum modulo 11
(https://www.datadictionary.nhs.uk/attributes/nhs_number.html); cards, Luhn (ISO/IEC 7812-1); IBAN, modulo 97
(ISO 13616). A name is removed beside the word patient, and in the form of DICOM (DOE^JOHN).
"""

from __future__ import annotations

import re

from commonground.structure.screen_rules import Check, Rule

_START = r"(?:(?<![\w.-])|(?<=\\[nrt]))"
_SEP = r"(?:\\{0,3}[\"'])?\]?[ \t]{0,4}(?:[:=#]{1,2}|\bis\b|\bno\b\.?)?[ \t]{0,4}(?:\\{0,3}[\"'])?"
_MONTH = r"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]{0,6}"
_DATE = (
    r"(?:\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.]\d{2,4}|\d{8}"
    rf"|\d{{1,2}}(?:st|nd|rd|th)?[ -]{_MONTH},?[ -]\d{{4}}|{_MONTH} \d{{1,2}}(?:st|nd|rd|th)?,? \d{{4}})"
)
_STREET = (
    r"street|st|road|rd|avenue|ave|lane|ln|drive|dr|way|court|ct|square|sq|place|pl|boulevard|blvd|close|crescent"
    r"|terrace|gardens|grove|hill|mews|park|row|str|stra(?:ss|ß)e|weg|platz|gasse|rue|via|calle"
)
_DOMAINS = (
    "com org net edu gov mil int info biz name pro io ai dev app health care hospital clinic doctor scot wales london "
    "uk us de fr es pt it nl be lu ch at dk se no fi ie pl cz sk hu ro bg gr hr si rs ua ru tr il sa ae za ng ke eg "
    "in pk lk cn tw hk jp kr sg my th vn id ph au nz ca mx br ar cl co pe eu"
)
_NO_NAMES = (
    "anonymous anonymized anonymised unknown none null test redacted name patient first last removed string optional "
    "true false type list dict text example dummy"
)
_NOT_A_NAME = frozenset(_NO_NAMES.split())
_APOSTROPHE = "'\u2019"
_NHS_WEIGHTS = range(10, 1, -1)
_NHS_DIGITS = 10
_NHS_MODULUS = 11
_CARD_DIGITS = range(13, 20)
_CARD_BEGINS = range(2, 7)
_PHONE_DIGITS = range(7, 16)


def _digits(match: re.Match[str]) -> list[int]:
    return [int(character) for character in match["v"] if character.isdigit()]


def is_nhs_number(digits: list[int]) -> bool:
    """Whether ten digits are a valid NHS number."""
    if len(digits) != _NHS_DIGITS or len(set(digits)) == 1:
        return False
    total = sum(weight * digit for weight, digit in zip(_NHS_WEIGHTS, digits, strict=False))
    return digits[-1] == -total % _NHS_MODULUS


def is_card_number(digits: list[int]) -> bool:
    """Whether 13 to 19 digits pass the check of a payment card."""
    doubled = [d if place % 2 == 0 else sum(divmod(2 * d, 10)) for place, d in enumerate(reversed(digits))]
    return len(digits) in _CARD_DIGITS and digits[0] in _CARD_BEGINS and sum(doubled) % 10 == 0


def is_iban(text: str) -> bool:
    """Whether text is a valid international bank account number."""
    plain = text.replace(" ", "").upper()
    return int("".join(str(int(c, 36)) for c in plain[4:] + plain[:4])) % 97 == 1


def _nhs(match: re.Match[str]) -> bool:
    return is_nhs_number(_digits(match))


def _card(match: re.Match[str]) -> bool:
    return is_card_number(_digits(match))


def _iban(match: re.Match[str]) -> bool:
    return is_iban(match["v"])


def _phone(match: re.Match[str]) -> bool:
    return len(_digits(match)) in _PHONE_DIGITS


def _name(match: re.Match[str]) -> bool:
    words = re.findall(r"[^\W\d_]+", match["v"].lower())
    return not _NOT_A_NAME.intersection(words)


def _mail(match: re.Match[str]) -> bool:
    return not (match["v"].startswith("git@") and match.string[match.end() : match.end() + 1] in {":", "/"})


def _rule(kind: str, hints: str, pattern: str, check: Check | None = None) -> Rule:
    return Rule(kind, tuple(hints.split("|")) if hints else (), re.compile(pattern), check)


_WORDS = r"(?i:(?:(?<![A-Za-z])|(?<=\\[nrt]))(?:{}))"

IDENTIFIERS: tuple[Rule, ...] = (
    _rule(
        "e-mail address",
        "@",
        r"(?<![A-Za-z0-9._%+-])(?P<v>[A-Za-z0-9._%+-]{1,64}+@(?:[A-Za-z0-9-]{1,63}+\.){1,5}(?i:"
        + "|".join(_DOMAINS.split())
        + r")(?![A-Za-z0-9_(\[-]|\.\w))",
        _mail,
    ),
    _rule(
        "social security number",
        "-",
        _START + r"(?P<v>(?!000|666|9\d\d)\d{3}-(?!00)\d\d-(?!0000)\d{4})(?![\w-]|\.\d)",
    ),
    _rule(
        "social security number",
        "ssn|social",
        _WORDS.format(r"ssn|social[ _-]?security[ _-]?(?:number|no)") + _SEP + r"(?P<v>\d{3}[ -]?\d\d[ -]?\d{4})(?!\d)",
    ),
    _rule("phone number", "-", _START + r"(?P<v>\(\d{3}\) {0,2}\d{3}-\d{4}|[2-9]\d\d-[2-9]\d\d-\d{4})(?![\w-]|\.\d)"),
    _rule(
        "phone number",
        "",
        r"(?P<v>\+(?<=[^\w.)\]+^\n-]\+)(?:[1-9]\d{0,2}(?:[ -]\(?\d{1,5}\)?){2,6}+|[1-9]\d{10,12}+))(?![\w.-])",
        _phone,
    ),
    _rule(
        "phone number",
        "phone|tel|mobile|fax",
        _WORDS.format(r"(?:tele|cell|mobile)?[ _-]?phone|tel|mobile|fax")
        + r"(?i:[ _-]?(?:number|no|nr)?\.?)(?![A-Za-z0-9_])"
        + _SEP
        + r"(?P<v>\+?\(?\d[\d ()./-]{5,20}+)(?<=\d)(?![\w.])",
        _phone,
    ),
    _rule("nhs number", "", r"(?P<v>\d{3} \d{3}(?<![\w.-].{7})(?<!\d .{7}) \d{4})(?! ?[\d.]|\w)", _nhs),
    _rule("nhs number", "-", r"(?<![\w.-])(?P<v>\d{3}-\d{3}-\d{4})(?![\w-]|\.\d)", _nhs),
    _rule(
        "nhs number",
        "nhs",
        _WORDS.format("nhs")
        + r"(?i:[ _-]?(?:number|no|num|nr|id)?\.?)"
        + _SEP
        + r"(?P<v>\d{3}[ -]?\d{3}[ -]?\d{4})(?!\d)",
    ),
    _rule(
        "medical record number",
        "mrn|medical|patient|hospital",
        _WORDS.format(
            r"mrn|medical[ _-]?record(?:[ _-]?(?:number|no|num|nr|id))?"
            r"|(?:patient|hospital)[ _-]?(?:id|number|no|num|nr|identifier)"
        )
        + r"(?![A-Za-z0-9])\.?"
        + _SEP
        + r"(?P<v>[A-Za-z]{0,3}-?\d{5,12}|\d{2,4}(?:-\d{2,4}){2})(?![\w-]|\.\d)",
    ),
    _rule(
        "medical record number", "mrn", _WORDS.format("mrn") + _SEP + r"(?P<v>[A-Za-z]{0,3}-?\d{4,12})(?![\w-]|\.\d)"
    ),
    _rule(
        "date of birth",
        "dob|birth|born|d.o.b|geb",
        _WORDS.format(
            r"dob|d\.o\.b\.?|(?:patient'?s?[ _-]?)?(?:date[ _-]?of[ _-]?birth|birth[ _-]?da(?:te|y))"
            r"|born|geboren|geburtsdatum"
        )
        + r"(?![A-Za-z])[^\w\n]{0,6}(?i:on |is |was |am ){0,2}[^\w\n]{0,6}"
        + rf"(?P<v>(?i:{_DATE}))(?!\d)",
    ),
    _rule(
        "person name",
        "^",
        r"(?<![\w^-])(?P<v>[A-Z][A-Za-z'-]{1,40}+\^[A-Z][A-Za-z'-]{1,40}+(?:\^[A-Za-z.'-]{0,40}+){0,3})(?![\w^])",
        _name,
    ),
    _rule(
        "person name",
        "patient",
        _WORDS.format(r"patient(?:'?s)?")
        + r"(?i:[ _-]?(?:full[ _-]?)?name)?(?![A-Za-z])"
        + r"(?:\\{0,3}[\"'])?\]?[ \t]{0,4}[:=]{1,2}[ \t]{0,4}(?:\\{0,3}[\"'])?"
        + r"(?P<v>[A-Z][a-zà-ÿ"
        + _APOSTROPHE
        + r".-]{1,30}+(?:,? [A-Z][A-Za-zà-ÿ"
        + _APOSTROPHE
        + r".-]{0,30}+){1,3}|[A-Z]{2,30}+, ?[A-Z]{2,30}+)",
        _name,
    ),
    _rule(
        "person name",
        "patient",
        _WORDS.format("patient(?:'?s)?")
        + r"(?i:[ _-]?(?:full|first|last|given|family|sur)?[ _-]?name)"
        + r"\\{0,3}[\"']?\]?[ \t]{0,4}(?:[:=]{1,2})[ \t]{0,4}\\{0,3}[\"'](?P<v>[^\W\d_][^\"'\\\n]{1,60}+)\\{0,3}[\"']",
        _name,
    ),
    _rule(
        "postal address",
        "address|adresse|anschrift",
        _WORDS.format("(?:home|postal|street|mailing|patient)?[ _-]?(?:address|adresse|anschrift)")
        + _SEP
        + r"(?P<v>\d{1,5}[A-Za-z]?,? (?:[A-Z][\w"
        + _APOSTROPHE
        + r".-]{0,30}+ ){1,4}(?i:"
        + _STREET
        + r")\b\.?[^\"'\\\n]{0,80}"
        + r"|[A-ZÄÖÜ][a-zäöüß-]{1,30}(?i:straße|strasse|str\.|weg|platz|gasse) \d{1,4}[^\"'\\\n]{0,60})",
    ),
    _rule("card number", "", r"(?P<v>\d{4}([ -])(?<![\w.-].{5})\d{4}\2\d{4}\2\d{1,7})(?![\w-]|\.\d| \d)", _card),
    _rule(
        "card number",
        "card|visa|amex|mastercard",
        _WORDS.format(r"card|visa|amex|mastercard") + r"[^\d\n]{0,20}(?P<v>\d{13,19})(?!\d)",
        _card,
    ),
    _rule(
        "bank account",
        "",
        r"(?P<v>[A-Z]{2}\d{2}(?<![\w-].{4})(?: ?[A-Z0-9]{4}){3,7}(?: ?[A-Z0-9]{1,3})?)(?![\w-])",
        _iban,
    ),
)
"""All rules for identifiers of persons."""
