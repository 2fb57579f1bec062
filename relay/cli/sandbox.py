"""`relay sandbox`: the fake services alone."""

from __future__ import annotations

from typing import Annotated

import typer

from relay.cli.common import Output, OutputOption, fail, print_json


def sandbox(
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port on 127.0.0.1; 0 takes any.")] = 9085,
    token: Annotated[
        str | None, typer.Option(help="The token to let in; made up without it.", show_default=False)
    ] = None,
    output: OutputOption = Output.text,
) -> None:
    """Run a Webex, a Spika and an APIC on loopback, with a page of the rooms, until Ctrl-C.

    The token is a person's, and with -bot behind it a bot's; it is Spika's access token, the client secret of the OAuth
    integration `sandbox`, and the password of any user of the APIC. Spika's rooms are 1 to 9. What is posted to
    /api/mo/DN.json changes the APIC's objects, PUT /sandbox/apic makes it fail (["drop_sockets"], "lose_subscriptions",
    "lose_sockets", "expire_tokens"), PUT /sandbox/faults the services.

    Example: relay sandbox --port 9085 --token test
    """
    import asyncio
    import signal

    from relay.lifecycle import SystemClock
    from relay.sandbox.server import Sandbox

    async def serve() -> None:
        stop = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        served = Sandbox(SystemClock().wall, token)
        try:
            await served.start(port=port)
        except OSError as error:
            fail(f"127.0.0.1:{port} can't be had: {error.strerror}")
        if output is Output.json:
            shown = {"url": f"{served.address}/v1", "spika_url": served.address, "token": served.token}
            print_json({"address": served.address, **shown})
        else:
            print(f"address {served.address} (Webex at {served.address}/v1, Spika here, rooms on the page)", flush=True)
            print(f"token {served.token}", flush=True)
        await stop.wait()
        await served.stop()

    asyncio.run(serve())
