"""Secrets by file name and by pattern: which file, which line, what kind. The value is never returned.

One Aho-Corasick pass looks for the literal beginnings that keys have; only around those does a detector of
detect-secrets decide. Nothing is verified against a server. Keys without a literal beginning (passwords in
prose, bare hexadecimal) are not looked for: telling them from ordinary text costs more false alarms than it
finds.
"""

import base64
import binascii
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from typing import Any

WINDOW_BYTES = 4096
MAX_FINDINGS = 100

_NAMES = {
    ".aws/credentials": "AWS credentials",
    ".docker/config.json": "registry credentials",
    ".dockercfg": "registry credentials",
    ".env": "environment file",
    ".git-credentials": "git credentials",
    ".htpasswd": "password file",
    ".kube/config": "cluster credentials",
    ".my.cnf": "database credentials",
    ".netrc": "login file",
    "_netrc": "login file",
    ".pgpass": "database credentials",
    ".pypirc": "registry credentials",
    ".vault-token": "vault token",
    "credentials": "credentials",
    "id_dsa": "private key",
    "id_ecdsa": "private key",
    "id_ed25519": "private key",
    "id_rsa": "private key",
    "terraform.tfstate": "Terraform state",
    "terraform.tfstate.backup": "Terraform state",
}
_ENDINGS = {
    ".jks": "key store",
    ".kdbx": "password database",
    ".keystore": "key store",
    ".p12": "key store",
    ".pfx": "key store",
    ".ppk": "private key",
    ".tfstate": "Terraform state",
}
_ENV_SAMPLES = ("example", "sample", "template", "dist", "defaults", "schema", "tpl")

# Detector of detect-secrets -> the literals that its matches begin with or hold.
_LIBRARY = {
    "artifactory.ArtifactoryDetector": (b"AKCp",),
    "aws.AWSKeyDetector": (b"A3T", b"ABIA", b"ACCA", b"AKIA", b"ASIA", b"aws_sec", b"AWS_SEC", b"awsSec"),
    "azure_storage_key.AzureStorageKeyDetector": (b"AccountKey=",),
    "github_token.GitHubTokenDetector": (b"ghp_", b"gho_", b"ghu_", b"ghs_", b"ghr_"),
    "gitlab_token.GitLabTokenDetector": (
        b"GR1348941", b"glpat-", b"gldt-", b"glft-", b"glsoat-", b"glrt-", b"glcbt-", b"glimt-", b"glptt-",
        b"glagent-", b"gloas-",
    ),
    "jwt.JwtTokenDetector": (b"eyJ",),
    "mailchimp.MailchimpDetector": tuple(b"-us%d" % number for number in range(1, 10)),
    "npm.NpmDetector": (b":_authToken=",),
    "openai.OpenAIDetector": (b"T3BlbkFJ",),
    "private_key.PrivateKeyDetector": (b"PRIVATE KEY-----", b"PRIVATE KEY BLOCK-----", b"PuTTY-User-Key-File-2"),
    "pypi_token.PypiTokenDetector": (b"pypi-AgE",),
    "sendgrid.SendGridDetector": (b"SG.",),
    "slack.SlackDetector": (b"xoxa-", b"xoxb-", b"xoxo-", b"xoxp-", b"xoxr-", b"xoxs-", b"hooks.slack.com/"),
    "square_oauth.SquareOAuthDetector": (b"sq0csp-",),
    "stripe.StripeDetector": (b"sk_live_", b"rk_live_"),
}  # fmt: skip
# Detectors whose literals stand inside a key or before it; all others begin one.
_INSIDE = frozenset(
    (
        "mailchimp.MailchimpDetector",
        "npm.NpmDetector",
        "openai.OpenAIDetector",
        "private_key.PrivateKeyDetector",
        "slack.SlackDetector",
    )
)
# Kinds that the library does not know.
_OWN = {
    "Anthropic API Key": (b"sk-ant-", r"sk-ant-[a-z]+\d\d-[\w-]{80,}"),
    "GitHub Token": (b"github_pat_", r"github_pat_\w{22}_\w{59}"),
    "Google API Key": (b"AIza", r"AIza[\w-]{35}(?![\w-])"),
    "Hugging Face Token": (b"hf_", r"(?<!\w)hf_[A-Za-z]{34}(?!\w)"),
    "npm Token": (b"npm_", r"(?<!\w)npm_[A-Za-z0-9]{36}(?!\w)"),
}

_PRIVATE_KEY = "private_key.PrivateKeyDetector"
_JWT = "jwt.JwtTokenDetector"
_KEY_BODY = re.compile(rb"[A-Za-z0-9+/]{40,}")
_KEY_BODY_WITHIN_BYTES = 1024
_TOKEN_BYTES = bytes(byte for byte in range(128) if chr(byte).isalnum() or chr(byte) in "_+/=.:-")
_RUN_BYTES = frozenset(_TOKEN_BYTES) - frozenset(b"_=.:-")
_MIN_TOKEN_BYTES = 20
_MIN_DISTINCT_CHARACTERS = 8
_PLACEHOLDER = re.compile(
    r"example|sample|dummy|placeholder|redacted|your|changeme|x{5}|\*{3}|\.{3}|0123456|1234567|abcdefg|(.)\1{7}",
    re.IGNORECASE,
)
_SAMPLE_CLAIMS = re.compile(rb"1234567890|john doe|example|test", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Finding:
    """A secret on a line, counted from 1; what kind it is, never what it is."""

    line: int
    kind: str


def secret_name(path: str) -> str | None:
    """What kind of secret a file of this name holds, or None."""
    folders, _, name = path.rpartition("/")
    if name in _NAMES:
        return _NAMES[name]
    if name.startswith(".env."):
        return None if name.rpartition(".")[2] in _ENV_SAMPLES else "environment file"
    for ending, kind in _ENDINGS.items():
        if name.endswith(ending):
            return kind
    return _NAMES.get(f"{folders.rpartition('/')[2]}/{name}")


def find(text: str | bytes) -> list[Finding]:
    """The secrets in a document, one for each line and kind, in order; at most `MAX_FINDINGS`."""
    content = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    literals, kinds = _literals()
    found: dict[Finding, None] = {}
    checked: dict[str, int] = {}
    for index, start, _ in literals.find_matches_as_indexes(content):
        kind = kinds[index]
        if start < checked.get(kind, 0) or not _may_begin(kind, content, start):
            continue
        window = _line_around(content, start)
        checked[kind] = window.stop
        if _holds_secret(kind, content, start, window):
            found[Finding(content.count(b"\n", 0, start) + 1, _label(kind))] = None
            if len(found) >= MAX_FINDINGS:
                break
    return list(found)


@lru_cache(maxsize=1)
def _literals() -> tuple[Any, list[str]]:
    from ahocorasick_rs import BytesAhoCorasick

    pairs = [(literal, kind) for kind, literals in _LIBRARY.items() for literal in literals]
    pairs += [(literal, kind) for kind, (literal, _) in _OWN.items()]
    return BytesAhoCorasick([literal for literal, _ in pairs]), [kind for _, kind in pairs]


def _may_begin(kind: str, content: bytes, start: int) -> bool:
    """False in the midst of a longer run, such as base64, where any literal turns up by chance."""
    return kind in _INSIDE or start == 0 or content[start - 1] not in _RUN_BYTES


def _line_around(content: bytes, start: int) -> range:
    """The line that holds `start`, or of a long line what can belong to one key."""
    first = content.rfind(b"\n", max(0, start - WINDOW_BYTES), start) + 1 or max(0, start - 256)
    last = content.find(b"\n", start, start + WINDOW_BYTES)
    return range(first, last if last >= 0 else min(len(content), start + WINDOW_BYTES))


def _holds_secret(kind: str, content: bytes, start: int, window: range) -> bool:
    line = content[window.start : window.stop]
    if kind == _PRIVATE_KEY:
        return _has_body(content, start) and any(_values(kind, line))
    if not _is_long_token(line, start - window.start):
        return False
    return any(not _is_placeholder(kind, value) for value in _values(kind, line))


def _has_body(content: bytes, start: int) -> bool:
    """Whether a key follows its first line; in prose and in code that looks for keys, none does."""
    end = content.find(b"-----END", start, start + _KEY_BODY_WITHIN_BYTES)
    body = _KEY_BODY.search(content, start, end if end >= 0 else start + _KEY_BODY_WITHIN_BYTES)
    return body is not None and not _is_placeholder(_PRIVATE_KEY, body[0].decode("ascii"))


def _is_long_token(line: bytes, start: int) -> bool:
    """Whether what stands around `start` is long enough for a key; spares loading the detectors for most words."""
    before, after = line[:start], line[start:]
    length = len(after) - len(after.lstrip(_TOKEN_BYTES)) + len(before) - len(before.rstrip(_TOKEN_BYTES))
    return length >= _MIN_TOKEN_BYTES


def _is_placeholder(kind: str, value: str) -> bool:
    if len(set(value)) < _MIN_DISTINCT_CHARACTERS or _PLACEHOLDER.search(value):
        return True
    return kind == _JWT and _SAMPLE_CLAIMS.search(_claims(value)) is not None


def _claims(token: str) -> bytes:
    payload = token.split(".")[1]
    try:
        return base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4))
    except binascii.Error:
        return b""


def _values(kind: str, line: bytes) -> Iterator[str]:
    """What the detector of this kind takes for a secret in a line, whole."""
    text = line.decode("utf-8", "replace")
    detector = _detector(kind)
    if any(True for _ in detector.analyze_string(text)):
        yield from (match[0] for pattern in detector.denylist for match in pattern.finditer(text))


def _label(kind: str) -> str:
    return str(_detector(kind).secret_type)


@lru_cache(maxsize=64)
def _detector(kind: str) -> Any:
    from detect_secrets.plugins.base import RegexBasedDetector

    if kind in _OWN:
        denylist = (re.compile(_OWN[kind][1], re.ASCII),)
        return type("_OwnDetector", (RegexBasedDetector,), {"secret_type": kind, "denylist": denylist})()
    module, _, name = kind.partition(".")
    return getattr(import_module(f"detect_secrets.plugins.{module}"), name)()
