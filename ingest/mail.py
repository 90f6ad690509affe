"""Mails to text: who wrote to whom and when, then the body as it was written.

The body's plain text is taken where there is one, its HTML without the markup otherwise. Attachments are
named, never opened and never written.
"""

import codecs
from collections.abc import Iterable
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from importlib import import_module
from io import BytesIO
from typing import Any, cast

from ingest.document import Document, Kind
from ingest.markup import read_html
from ingest.outcome import ReadFailure, Status

MSG_BODY = "__substg1.0_1000001E"
SHOWN = ("Subject", "From", "To", "Cc", "Date")
# What the standard library's header parser raises on headers that break its grammar.
BAD_HEADER = (ValueError, IndexError, KeyError, AttributeError, TypeError)


def read_eml(content: bytes) -> Document:
    """An RFC 5322 message."""
    message = message_from_bytes(_in_octets(content), policy=default)
    if message.get_content_type() == "multipart/encrypted":
        raise ReadFailure(Status.PASSWORD, "an encrypted mail")
    body = message.get_body(("plain", "html"))
    text = _content(body) if isinstance(body, EmailMessage) else ""
    if not text.strip() and (rich := message.get_body(("html",))) is not None:
        text = _content(cast(EmailMessage, rich))
    names = [_attachment_name(part) for part in message.iter_attachments()] if message.is_multipart() else []
    return _document([(name, _header(message, name)) for name in SHOWN], text, names)


def read_msg(content: bytes) -> Document:
    """An Outlook message."""
    oxmsg: Any = import_module("oxmsg")
    codecs.register(_windows_code_page)
    message = oxmsg.Message.load(BytesIO(content))
    if "encrypted" in message.message_headers.get("Content-Type", ""):
        raise ReadFailure(Status.PASSWORD, "an encrypted mail")
    text = _msg_body(message, content)
    if not text.strip() and message.html_body:
        text = read_html(message.html_body).text
    recipients = [_address(person.name, person.email_address) for person in message.recipients]
    date = message.message_headers.get("Date") or (message.sent_date.isoformat() if message.sent_date else "")
    shown = [
        ("Subject", message.subject or ""),
        ("From", message.sender or ""),
        ("To", ", ".join(recipients)),
        ("Date", date),
    ]
    return _document(shown, text, [attachment.file_name or "unnamed" for attachment in message.attachments])


def _windows_code_page(name: str) -> codecs.CodecInfo | None:
    """Outlook's names for code pages that Python calls otherwise ("windows-950")."""
    return codecs.lookup(f"cp{name[8:]}") if name.startswith("windows_") else None


def _msg_body(message: Any, content: bytes) -> str:
    try:
        return message.body or ""
    except UnicodeDecodeError:  # the declared code page is wrong
        return _guessed(content)


def _guessed(content: bytes) -> str:
    from charset_normalizer import from_bytes

    with import_module("olefile").OleFileIO(BytesIO(content)) as file:
        best = from_bytes(file.openstream(MSG_BODY).read()).best()
    return str(best) if best else ""


def _document(headers: Iterable[tuple[str, str]], body: str, attachments: list[str]) -> Document:
    known = {name: " ".join(value.split()) for name, value in headers if value.strip()}
    head = "\n".join(f"{name}: {value}" for name, value in known.items())
    count = len(attachments)
    note = f"has {count} attachment{'s' * (count > 1)}, not read: {', '.join(attachments)}"
    return Document(
        text="\n\n".join(part for part in (head, body.replace("\r\n", "\n").strip("\n")) if part),
        kind=Kind.MAIL,
        title=known.get("Subject", ""),
        source_lines=(),
        notes=(note,) if attachments else (),
        metadata={name.lower(): value for name, value in known.items()},
    )


def _in_octets(content: bytes) -> bytes:
    """The message as mail is sent: some programs save it in UTF-16."""
    head = content[:4]
    if head[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return content.decode("utf-16", "replace").encode()
    if 0 in head and len(content) > 1:
        return content.decode("utf-16-be" if head[0] == 0 else "utf-16-le", "replace").encode()
    return content


def _header(message: EmailMessage, name: str) -> str:
    try:
        return ", ".join(str(value) for value in message.get_all(name, []))
    except BAD_HEADER:
        return next((value for key, value in message.raw_items() if key.lower() == name.lower()), "")


def _content(part: EmailMessage) -> str:
    """The text of a body, whatever its charset is called."""
    try:
        text = str(part.get_content())
    except (LookupError, ValueError):
        raw = part.get_payload(decode=True)
        text = raw.decode("utf-8", "replace") if isinstance(raw, bytes) else ""
    return read_html(text).text if part.get_content_type() == "text/html" else text


def _attachment_name(part: object) -> str:
    try:
        return cast(EmailMessage, part).get_filename() or cast(EmailMessage, part).get_content_type()
    except BAD_HEADER:
        return "unnamed"


def _address(name: str, address: str) -> str:
    return f"{name} <{address}>" if name and name != address else address
