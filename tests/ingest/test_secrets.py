import base64
import json
import random
import string
import time

import pytest

from ingest.secrets import MAX_FINDINGS, Finding, find, secret_name

ALNUM = string.ascii_letters + string.digits


def made_up(alphabet: str, length: int, seed: int = 7) -> str:
    """A key that looks real, and that no scanner finds in this file."""
    return "".join(random.Random(seed).choices(alphabet, k=length))


def token(claims: dict[str, object]) -> str:
    parts = [json.dumps(part).encode() for part in ({"alg": "HS256", "typ": "JWT"}, claims)]
    encoded = [base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts]
    return ".".join([*encoded, made_up(ALNUM, 43)])


def private_key(kind: str = "RSA ", end: str = "\n") -> str:
    body = end.join(made_up(ALNUM, 64, seed) for seed in range(4))
    return f"-----BEGIN {kind}PRIVATE" + f" KEY-----{end}{body}{end}-----END {kind}PRIVATE" + " KEY-----"


KEYS = {
    "AWS Access Key": "AKIA" + made_up(string.ascii_uppercase + string.digits, 16),
    "GitHub Token": "ghp" + "_" + made_up(ALNUM, 36),
    "GitLab Token": "glpat" + "-" + made_up(ALNUM, 20),
    "Slack Token": "xoxb" + "-3526718394-" + made_up(ALNUM, 24),
    "Stripe Access Key": "sk_" + "live_" + made_up(ALNUM, 24),
    "JSON Web Token": token({"sub": "u-83", "iat": 1699999999}),
    "Private Key": private_key(),
    "SendGrid API Key": "SG" + "." + made_up(ALNUM, 22) + "." + made_up(ALNUM, 43),
    "OpenAI Token": "sk-" + made_up(ALNUM, 20) + "T3Blbk" + "FJ" + made_up(ALNUM, 20, 8),
    "PyPI Token": "pypi-" + "AgEIcHlwaS5vcmc" + made_up(ALNUM, 80),
    "Azure Storage Account access key": "Account" + "Key=" + made_up(ALNUM, 86) + "==",
    "Mailchimp Access Key": made_up("0123456789abcdef", 32) + "-us" + "12",
    "NPM tokens": "//registry.npmjs.org/:_auth" + "Token=npm_" + made_up(ALNUM, 36),
    "Google API Key": "AI" + "za" + made_up(ALNUM, 35),
    "Anthropic API Key": "sk-" + "ant-api03-" + made_up(ALNUM, 90),
    "Hugging Face Token": "hf" + "_" + made_up(string.ascii_letters, 34),
}


@pytest.mark.parametrize("kind", KEYS)
def test_keys_are_found_on_their_line_and_not_told(kind: str) -> None:
    text = f"# configuration\nnäme = 1\nkey = '{KEYS[kind]}'\nend = 1\n"
    found = find(text)
    assert Finding(3, kind) in found
    assert KEYS[kind][4:] not in repr(found)
    assert find(text.encode()) == found


@pytest.mark.parametrize("kind", KEYS)
def test_keys_inside_a_very_long_line_are_found(kind: str) -> None:
    assert Finding(1, kind) in find("var a=1;" * 50_000 + f'"{KEYS[kind]}"' + ";b()" * 50_000)


def test_a_key_in_one_escaped_line_is_found() -> None:
    assert find(f'"key": "{private_key("", end=chr(92) + "n")}"') == [Finding(1, "Private Key")]


@pytest.mark.parametrize(
    "text",
    [
        "AKIA" + "IOSFODNN7EXAMPLE",
        "ghp" + "_" + "x" * 36,
        "sk_" + "live_" + "a" * 24,
        "AKIA" + "1234567890ABCDEF",
        token({"sub": "1234567890", "name": "John Doe"}),
        "if '-----BEGIN RSA PRIVATE" + " KEY-----' in text: raise",
        "-----BEGIN PRIVATE" + " KEY-----\n<your key here>\n-----END PRIVATE" + " KEY-----\n" + made_up(ALNUM, 64),
        "ghp" + "_<token>",
        "eyJust words. And more.",
        made_up(ALNUM, 40) + "AKIA" + made_up(string.ascii_uppercase, 16) + made_up(ALNUM, 40),
        "shelf" + "_" + made_up(ALNUM, 34),
    ],
)
def test_placeholders_and_mentions_are_not_findings(text: str) -> None:
    assert find(text) == []


def test_several_secrets_each_with_its_line() -> None:
    text = "\n".join(f"a = {KEYS['AWS Access Key']}" for _ in range(3))
    assert [one.line for one in find(text)] == [1, 2, 3]
    assert len(find(text * 100)) == MAX_FINDINGS


@pytest.mark.parametrize("literal", ["eyJ", "AKIA ", "SG. ", "ghp_", "-----BEGIN PRIVATE" + " KEY-----", "-us1 "])
def test_a_file_full_of_beginnings_takes_no_long_time(literal: str) -> None:
    began = time.process_time()
    find(literal * (2_000_000 // len(literal)))
    assert time.process_time() - began < 2


@pytest.mark.parametrize(
    ("path", "secret"),
    [
        (".env", True),
        ("a/.env.production", True),
        (".env.example", False),
        ("b/.env.sample", False),
        ("id_rsa", True),
        ("id_rsa.pub", False),
        ("x/store.kdbx", True),
        ("home/.aws/credentials", True),
        ("credentials.md", False),
        ("infra/prod.tfstate", True),
        (".docker/config.json", True),
        ("config.json", False),
        ("environment.py", False),
        ("cert.pem", False),
    ],
)
def test_names(path: str, secret: bool) -> None:
    assert (secret_name(path) is not None) is secret
