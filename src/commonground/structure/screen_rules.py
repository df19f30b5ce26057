"""What the screen looks for: the rule as a form, and one rule for each kind of secret.

A rule is a regular expression that is tried only on lines holding one of its hints; the group `v`, or else the whole
match, is removed. Expressions are linear: every repetition is bounded, possessive, or starts at a place that cannot
begin twice in one run of characters. A `check` looks at the match and can spare it.

Secrets are known by their own form (a prefix), or by the name they are assigned to. Names are of two strengths:
after `password`, `secret`, `api_key` ... any literal goes; after `token`, `key`, `auth` ... it must look random.
A bare word after a name is a literal only where it cannot be the name of a variable: in an environment file, in YAML,
after a flag, or when it has digits or signs.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

Check = Callable[[re.Match[str]], bool]


@dataclass(frozen=True, slots=True)
class Rule:
    """One thing to look for."""

    kind: str
    """What is written in its place."""
    hints: tuple[str, ...]
    """Lower-case text, one of which a line must hold; none: every line is tried."""
    pattern: re.Pattern[str]
    """The expression; the group `v` is what goes."""
    check: Check | None = None
    """Whether a match is one."""
    next_line: bool = False
    """Whether a match can go on in the line after the hint."""


# A word can begin after a letter that belongs to an escape: "\nghp_..." in a notebook cell.
_EDGE = r"(?:(?<![A-Za-z0-9])|(?<=\\[nrt]))"

# ---------------------------------------------------------------- secrets known by their form


def _form(kind: str, hints: str, pattern: str, check: Check | None = None) -> Rule:
    return Rule(kind, tuple(hints.split()), re.compile(_EDGE + pattern), check)


def _mixed(match: re.Match[str]) -> bool:
    text = value_of(match)
    return bool(re.search(r"\d", text) and re.search(r"[A-Z]|[a-z0-9]{16}", text))


_FORMS = [
    _form("aws access key", "akia asia abia acca", r"(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}(?![A-Za-z0-9])"),
    _form("github token", "ghp_ gho_ ghu_ ghs_ ghr_", r"gh[pousr]_[A-Za-z0-9]{20,}+"),
    _form("github token", "github_pat_", r"github_pat_[A-Za-z0-9_]{20,}+"),
    _form(
        "gitlab token", "glpat- gldt- glrt- glcbt- glptt- glft- glsoat-", r"gl[a-z]{2,5}-[A-Za-z0-9_.-]{16,}+", _mixed
    ),
    _form(
        "slack token", "xoxa- xoxb- xoxe- xoxo- xoxp- xoxr- xoxs- xapp-", r"(?:xox[abeoprs]|xapp)-[A-Za-z0-9-]{10,}+"
    ),
    _form("slack webhook", "hooks.slack.com", r"hooks\.slack\.com/(?:services|workflows)/(?P<v>[A-Za-z0-9/_-]{16,}+)"),
    _form("google api key", "aiza", r"AIza[A-Za-z0-9_-]{35}"),
    _form("google token", "ya29. gocspx-", r"(?:ya29\.|GOCSPX-)[A-Za-z0-9_-]{20,}+"),
    _form("model provider key", "sk-", r"sk-[A-Za-z0-9_-]{20,}+", _mixed),
    _form("hugging face token", "hf_ api_org_", r"(?:hf|api_org)_[A-Za-z0-9]{30,}+", _mixed),
    _form("stripe key", "_live_ _test_", r"(?:sk|rk|pk)_(?:live|test)_[A-Za-z0-9]{10,}+"),
    _form("webhook secret", "whsec_", r"whsec_[A-Za-z0-9+/=]{16,}+"),
    _form("npm token", "npm_", r"npm_[A-Za-z0-9]{30,}+"),
    _form("pypi token", "pypi-", r"pypi-[A-Za-z0-9_-]{32,}+", _mixed),
    _form("azure storage key", "accountkey", r"(?i:AccountKey)\s{0,3}=\s{0,3}(?P<v>[A-Za-z0-9+/]{40,}+={0,2})"),
    _form("azure signature", "sig=", r"sig=(?P<v>[A-Za-z0-9%+/_-]{32,}+={0,2})", _mixed),
    _form("sendgrid key", "sg.", r"SG\.[A-Za-z0-9_-]{16,40}\.[A-Za-z0-9_-]{16,80}"),
    _form("digitalocean token", "dop_v1_ doo_v1_", r"do[op]_v1_[a-f0-9]{40,}+"),
    _form("databricks token", "dapi", r"dapi[a-f0-9]{32}(?:-\d)?(?![A-Za-z0-9])"),
    _form("vault token", "hvs. hvb.", r"hv[sb]\.[A-Za-z0-9_-]{20,}+"),
    _form("docker token", "dckr_pat_", r"dckr_pat_[A-Za-z0-9_-]{20,}+"),
    _form("grafana token", "glsa_ glc_", r"gl(?:sa|c)_[A-Za-z0-9_+/=]{28,}+"),
    _form("replicate token", "r8_", r"r8_[A-Za-z0-9]{30,}+"),
    _form("shopify token", "shpat_ shpss_", r"shp(?:at|ss)_[a-fA-F0-9]{32}"),
    _form("telegram token", ":aa", r"\d{8,10}:AA[A-Za-z0-9_-]{32,34}(?![A-Za-z0-9_-])"),
    _form("age key", "age-secret-key-", r"AGE-SECRET-KEY-1[A-Z0-9]{40,}+"),
    _form("jwt", "eyj", r"(?<![_-])eyJ[A-Za-z0-9_-]{8,}+\.[A-Za-z0-9_-]{8,}+\.[A-Za-z0-9_-]{0,}+"),
]

# ---------------------------------------------------------------- secrets known by their name

_STRONG = (
    r"(?:pass(?:word|wort|wd|phrase|code)|pwd|credentials?"
    r"|secret(?:[_-]?(?:access)?[_-]?key)?"
    r"|(?:api|access|account|auth|encryption|signing|private|master|storage|subscription|license|service)[_-]?key"
    r"|(?:access|auth|refresh|bearer|api|id|session|bot|oauth|personal|security|job|csrf)[_-]?token)"
)
_WEAK = r"(?:token|auth|cookie|session(?:[_-]?id)?|webhook|cred)"
_SUFFIX = r"(?:[_-]?(?:base|prod(?:uction)?|dev|test|staging|live|main|default|value|text|plain|b64|base64|\d{1,3}))?"
_END = _SUFFIX + r"(?![A-Za-z0-9_-])"
_TAIL = _END + r"(?:\\{0,3}[\"'`])?\]?"
_ASSIGN = r"[ \t]{0,8}(?::[ \t]{0,8}[A-Za-z_][\w.\[\], |]{0,60}=|=>|:=|[=!]=|=|:)[ \t]{0,8}"
_LITERAL = (
    r"[bBrRfFuU]{0,2}(?:(?P<q>\"\"\"|'{3}|[\"'`])(?P<v>(?:\\.|(?!(?P=q))[^\\\n]){1,512})(?P=q)"
    r"|(?P<e>\\{1,3}[\"'])(?P<w>[^\n]{1,512}?)(?P=e))"
)
_FLAG = "(?:" + _STRONG + "|token|dsn)" + _END
_BARE = r"(?P<v>[^\s\"'`,;&<>(){}\[\]\\|]{4,512}+)(?P<after>[(\[{]?)"
_LINE = r"(?m:^)[+\- ]?[ \t]{0,40}+"
_STRONG_HINTS = ("pass", "pwd", "secret", "key", "token", "credential")
_WEAK_HINTS = ("token", "auth", "cookie", "session", "webhook", "cred")

_USUAL = (
    "password passwd passphrase passcode pass pwd secret secrets token key apikey api_key api-key none null nil true "
    "false str string bytes int float bool object any optional required hidden redacted removed masked example dummy "
    "placeholder username user login text hash file prompt ask keyring basic bearer digest env environ undefined "
    "default empty value self input getpass unset todo tbd"
)
_WORDS = frozenset(_USUAL.split())
_TEMPLATE = re.compile(
    r"\$?\{[^{}]{0,80}\}{1,2}|%\(\w{1,60}\)[sdr]|%[sdr]|\$\(?[A-Z_][A-Z0-9_]{0,60}(?![a-z])|<[^<>]{0,60}>|[xX*.]{3,}"
    r"|\$\(?(?i:pass\w{0,20}|pwd|\w{0,20}token|\w{0,20}secret|\w{0,20}key)|your[_ -].{0,60}"
)
_NAME_OF_VARIABLE = re.compile(r"[A-Z]+(?:_[A-Z]+)+")
_TYPE = re.compile(
    r"(?:[A-Z][A-Za-z.]*|(?:str|bytes|int|uint|float|bool|string|char|text|varchar|dict|list|set)\d{0,3})"
)
_EXPRESSION = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+|[A-Za-z_]+")
_PATH = re.compile(r"(?:~|\.{1,2})?/|[a-z]{2,8}://|[a-z]+:[a-z]+:|-")
_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_SHORTEST_SECRET = 4
_ORDERED = re.compile(r"(?i)abcdef|012345|qwerty|ghijkl|123456")
_ASSIGNED = re.compile(r"(?P<name>[\w.-]{0,60})[\"']?\]?[ \t]{0,8}(?:[=:(]|=>)[ \t]{0,8}\\{0,3}[bBrRuUfF]{0,2}$")
_DIGEST_NAME = re.compile(r"(?i)hash|digest|checksum|sha\d|md5|integrity|etag|commit|fingerprint|uuid|crc|nonce")


def value_of(match: re.Match[str]) -> str:
    """The text that a match would remove."""
    groups = match.groupdict()
    return groups.get("v") or groups.get("w") or match[0]


def is_placeholder(text: str) -> bool:
    """Whether a value stands for a secret instead of being one: a template, the name of a variable, a usual word."""
    return (
        text.lower() in _WORDS
        or text.startswith("[removed")
        or bool(_NAME_OF_VARIABLE.fullmatch(text))
        or re.search(r"[^\W_]", _TEMPLATE.sub("", text)) is None
    )


def looks_random(text: str, shortest: int = 16, bits: float = 3.0) -> bool:
    """Whether text has digits and letters, no order, and at least `bits` of entropy per character."""
    if len(text) < shortest or not re.search(r"\d", text) or not re.search(r"[A-Za-z]", text):
        return False
    if _ORDERED.search(text) or _UUID.fullmatch(text):
        return False
    size = len(text)
    return -sum(n / size * math.log2(n / size) for n in Counter(text).values()) >= bits


def _literal(match: re.Match[str]) -> bool:
    value = value_of(match)
    if len(value) < _SHORTEST_SECRET or is_placeholder(value) or _PATH.match(value):
        return False
    if re.search(r"\s", value):
        return bool(re.search(r"\d", value)) or "phrase" in match[0].lower()
    return True


def _bare(match: re.Match[str]) -> bool:
    value = match["v"]
    if match["after"] or is_placeholder(value) or _EXPRESSION.fullmatch(value) or _TYPE.fullmatch(value):
        return False
    if re.fullmatch(r"(?:0x)?[0-9a-fA-F]{1,7}", value) and not re.match("(?i)pass|pwd", match[0]):
        return False
    return not _PATH.match(value) and bool(re.search(r"[\d!@#$%^*+=~?]", value))


def _word(match: re.Match[str]) -> bool:
    value = match["v"]
    return not (is_placeholder(value) or _TYPE.fullmatch(value) or _PATH.match(value) or "." in value)


def _random(match: re.Match[str]) -> bool:
    value = value_of(match)
    return looks_random(value) and not _PATH.match(value) and not _EXPRESSION.fullmatch(value) and " " not in value


def _has_all_kinds(text: str) -> bool:
    return all(re.search(kind, text) for kind in ("[a-z]", "[A-Z]", r"\d"))


def _random_key(match: re.Match[str]) -> bool:
    return looks_random(match["v"], 20, 3.5) and _has_all_kinds(match["v"])


def _very_random(match: re.Match[str]) -> bool:
    value = match["v"]
    before = match.string[max(0, match.start() - 80) : match.start()]
    assigned = _ASSIGNED.search(before)
    if assigned is None or not _has_all_kinds(value) or not looks_random(value, 32, 4.2):
        return False
    return not _DIGEST_NAME.search(assigned["name"] + value[:8])


def _not_placeholder(match: re.Match[str]) -> bool:
    return not is_placeholder(value_of(match))


def _not_a_number(match: re.Match[str]) -> bool:
    return _not_placeholder(match) and not re.fullmatch(r"[\d.,_-]+", match["v"])


def _flagged(match: re.Match[str]) -> bool:
    before = match.string[max(0, match.start() - 60) : match.start()]
    return _not_a_number(match) and re.search(r"(?<![\w-])--[A-Za-z0-9_.-]*$", before) is not None


def _credential(match: re.Match[str]) -> bool:
    return _not_placeholder(match) and bool(re.search(r"\d", match["v"]))


def _named(kind: str, hints: tuple[str, ...], pattern: str, check: Check | None) -> Rule:
    return Rule(kind, hints, re.compile("(?i)" + pattern), check)


_NAMED = [
    _named("secret", _STRONG_HINTS, _STRONG + _TAIL + _ASSIGN + _LITERAL, _literal),
    _named("secret", _STRONG_HINTS, _STRONG + _TAIL + _ASSIGN + _BARE, _bare),
    _named(
        "secret",  # a default value: getenv of a name and a literal
        _STRONG_HINTS,
        _STRONG + _END + r"[\"'], {0,2}[\"'](?P<v>[^\"'\s]{8,200})[\"']",
        _credential,
    ),
    _named(
        "secret",  # PASSWORD=word in an environment
        _STRONG_HINTS,
        r"(?:(?<![A-Za-z0-9_.$])|(?<=\\[nrt]))(?-i:(?=[A-Z][A-Z0-9_]{2,80}=))[A-Z0-9_]{0,60}?"
        + _STRONG
        + _END
        + r"=(?![=(])(?P<v>[^\s\"'#`,;&<>()\\]{4,512}+)(?![(\[{])",
        _not_placeholder,
    ),
    _named(
        "secret",
        ("token",),
        _LINE
        + r"(?:export |set |env |-e )?(?-i:[A-Z0-9_]{0,60}TOKEN)"
        + _END
        + r"=(?P<v>[^\s\"'#]{4,512}+)[ \t]{0,8}\r?(?m:$)",
        _not_a_number,
    ),
    _named(
        "secret",  # password: word in YAML, password=word in a settings file
        ("pass", "pwd", "secret"),
        _LINE
        + r"(?:- )?[\"']?[\w.-]{0,60}?(?:pass(?:word|wort|wd|phrase)|pwd|secret)"
        + _END
        + r"(?:[\"']?:[ \t]{1,8}|=)(?P<v>[^\s\"'#{}()\[\],;&<>]{6,512}+)[ \t]{0,8}(?:#[^\n]{0,200})?\r?(?m:$)",
        _word,
    ),
    Rule(
        "secret",  # --password word, where the command ends or goes on with another flag
        _STRONG_HINTS,
        re.compile(
            "(?i)" + _FLAG + r"(?:=|[ \t]{1,4}|[\"'],\s{0,40}[\"'])[\"']?(?P<v>(?!-)[^\s\"',]{3,512}+)"
            r"(?=[\"';|&)]|[ \t]{0,4}(?:-|\\|\r?(?m:$)))"
        ),
        _flagged,
        next_line=True,
    ),
    _named("secret", _STRONG_HINTS, _FLAG + "[= ]" + _BARE, lambda match: _flagged(match) and _bare(match)),
    _named("secret", _STRONG_HINTS, "<" + _STRONG + r"[^<>\n]{0,80}>(?P<v>[^<>\n]{4,512})</", _not_placeholder),
    _named(
        "secret",
        ("identified by", "password '"),
        r"(?:identified by|password) '(?P<v>[^'\n]{3,256})'",
        _not_placeholder,
    ),
    _named("secret", ("login",), r"\blogin\s{1,4}\S{1,100}+\s{1,8}password\s{1,4}(?P<v>\S{3,256}+)", _not_placeholder),
    _named("secret", ("wandb",), r"\bwandb[ .]login[ (][\"']?(?P<v>[A-Za-z0-9_]{20,128}+)", None),
    _named(
        "secret",
        ("curl ",),
        r"\bcurl [^\n]{0,200}?(?:-u|--user)[ =][\"']?[^\s:\"']{1,100}+:(?P<v>[^\s\"']{1,200}+)",
        _not_placeholder,
    ),
    _named("secret", _WEAK_HINTS, _WEAK + _TAIL + _ASSIGN + _LITERAL, _random),
    _named("secret", _WEAK_HINTS, _WEAK + _TAIL + _ASSIGN + _BARE, _random),
    _named(
        "secret", ("key",), r"key" + _TAIL + _ASSIGN + r"[\"'](?P<v>[A-Za-z0-9+/_.~-]{20,256}={0,2})[\"']", _random_key
    ),
    _named(
        "random string",
        (),
        r"[\"'](?P<v>[A-Za-z0-9+/_-]{32,256}+={0,2})\\{0,3}[\"']",
        _very_random,
    ),
    _named("bearer token", ("bearer",), r"\bbearer[ \t]{1,4}(?P<v>[A-Za-z0-9._~+/-]{12,}+=*)", _credential),
    _named(
        "authorization header",
        ("authorization", "api-key", "auth-token", "cookie"),
        r"(?:authorization|api-key|auth-token|cookie)(?:\\{0,3}[\"'])?[ \t]{0,4}[:,][ \t]{0,4}(?:\\{0,3}[\"'])?"
        r"(?:(?:basic|token|digest|apikey|[\w-]{1,40}=)[ \t]{0,4})?(?P<v>[A-Za-z0-9._~+/=-]{12,}+)",
        _credential,
    ),
    _named("url credentials", ("://",), r"://[^\s/@:\"'<>\\]{0,128}+:(?P<v>[^\s/\"'<>\\]{1,256})@", _not_placeholder),
    _named("url credentials", ("://",), r"https?://(?P<v>[^\s/@:\"'<>\\]{1,256}+)@", _not_placeholder),
]

SECRETS: tuple[Rule, ...] = (*_FORMS, *_NAMED)
"""All rules for secrets; where two meet, the name of the first is written."""
