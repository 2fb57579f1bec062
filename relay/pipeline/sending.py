"""One attempt: render a leased delivery, so that it shows the present state, and send it once."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from io import BytesIO
from typing import Any

from relay.core.delivery import Lease, Outcome, Refused
from relay.core.leasing import remark_of
from relay.core.markdown import escape_markdown, file_name, hard_breaks, numbered
from relay.core.phrases import file_is_missing
from relay.pipeline.brake import Brake
from relay.pipeline.chronicle import Chronicle
from relay.ports import Clock, File, Files, Missing, Outbox, Renderer, Send, Sender, Service

MOST_LISTED = 1_000_000
"""The most lines of a digest's full list."""


class Sending:
    """Renders a leased delivery and sends it once. The outcome is a value; the dispatcher decides what it means."""

    def __init__(self, outbox: Outbox, brake: Brake | None, clock: Clock, chronicle: Chronicle) -> None:
        self._outbox = outbox
        self._brake = brake
        self._clock = clock
        self._chronicle = chronicle

    def use(self, renderer: Renderer, files: Files) -> None:
        """Use these for attempts that begin from now on."""
        self._renderer, self._files = renderer, files

    async def send(self, lease: Lease, sender: Sender) -> tuple[Outcome, tuple[str, ...]]:
        """Send a delivery; return the outcome, and the texts of the replies that follow it."""
        if lease.file is not None:
            return await self._attach(sender, lease, lease.file), ()
        texts, file = await self._texts(lease, sender.service)
        outcome = await self._send(sender, lease, texts[0], file)
        return outcome, tuple(texts[1:]) if lease.action in ("post", "file") else ()

    async def _attach(self, sender: Sender, lease: Lease, address: str) -> Outcome:
        """Post a file that an event names, or a note that says why it can't be had; return the outcome."""
        async with self._files.get(address) as found:
            if isinstance(found, Missing):
                why = found.why
            else:
                file, link = (found, None) if isinstance(found, File) else (None, found)
                outcome = await self._send(sender, lease, "", file, link)
                if not (isinstance(outcome, Refused) and outcome.scope == "delivery"):
                    return outcome
                why = f"it was refused: {outcome.detail}"
        name = file_name(address)
        self._chronicle.file_missing(lease, name, why)
        return await self._send(sender, lease, file_is_missing(name, why), None)

    async def _texts(self, lease: Lease, service: Service) -> tuple[list[str], File | None]:
        """Return a delivery's texts, and the file that goes with the first (a digest's full list), if any."""
        texts = [lease.content] if lease.content is not None else self._rendered(lease, service)
        if lease.note is not None:
            return [self._renderer.note(lease.note, lease.room, self._clock.wall())], None
        if lease.action != "file":
            return texts, None
        listed = self._renderer.listing(await self._outbox.digest_lines(lease.message, MOST_LISTED))
        if not service.files:
            return numbered([*texts, hard_breaks(escape_markdown(listed))], service.longest_list), None
        name, content = f"storm-{lease.message}.txt", partial(BytesIO, listed.encode())
        return texts, File(name=name, content_type="text/plain; charset=utf-8", open=content)

    def _rendered(self, lease: Lease, service: Service) -> list[str]:
        return self._renderer.render(
            lease.event,
            lease.template,
            room=lease.room,
            summary=lease.summary,
            now=self._clock.wall(),
            behind=self._behind(lease),
            mention=lease.mention if lease.action == "post" else (),
            longest=service.longest,
            brief=lease.action == "reply" and not service.edits,
            remark=remark_of(lease, shows_files=service.files),
        )

    async def _send(
        self, sender: Sender, lease: Lease, markdown: str, file: File | None, link: str | None = None
    ) -> Outcome:
        if self._brake is not None:  # before the send: an echo may come before the service's answer
            await self._brake.sending(lease.event, markdown)
        message = Send(
            action=lease.action,
            room=lease.room,
            markdown=markdown,
            message=None if lease.action == "post" else lease.remote,
            space=None if lease.action == "post" else lease.space,
            delivery=str(lease.id),
            file=file,
            link=link,
            card=self._card(sender, lease),
        )
        return await sender.send(message)

    def _card(self, sender: Sender, lease: Lease) -> Mapping[str, Any] | None:
        """Return the card that goes with a new message, or None if there is none or the service takes no files."""
        if lease.action != "post" or lease.note is not None or not sender.service.files:
            return None
        return self._renderer.card(
            lease.lineage,
            lease.event,
            room=lease.room,
            summary=lease.summary,
            now=self._clock.wall(),
            behind=self._behind(lease),
        )

    def _behind(self, lease: Lease) -> float:
        """Return the seconds since a delivery was planned, by the relay's own clock."""
        return self._clock.now() - lease.created_at
