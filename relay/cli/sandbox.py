"""`relay sandbox`: the fake services alone."""

from __future__ import annotations

from typing import Annotated

import typer

from relay.cli.common import Output, OutputOption, fail, print_json


def sandbox(
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port on 127.0.0.1; 0 for any free one.")] = 9085,
    token: Annotated[
        str | None, typer.Option(help="The token to accept; default a random one.", show_default=False)
    ] = None,
    output: OutputOption = Output.text,
) -> None:
    """Run a Webex, a Spika and an APIC on loopback, with a page of the rooms, until Ctrl-C.

    The token is that of a person; with -bot at its end, that of a bot. It is also Spika's access token, the client
    secret of the OAuth integration `sandbox`, and the password of each user of the APIC. Spika's rooms are 1 to 9. POST
    to /api/mo/DN.json changes objects of the APIC. PUT /sandbox/apic makes the APIC fail (["drop_sockets"],
    "lose_subscriptions", "lose_sockets", "expire_tokens"), and PUT /sandbox/faults the services.

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
            fail(f"can't listen at 127.0.0.1:{port}: {error.strerror}")
        if output is Output.json:
            shown = {"url": f"{served.address}/v1", "spika_url": served.address, "token": served.token}
            print_json({"address": served.address, **shown})
        else:
            print(f"address {served.address} (Webex at {served.address}/v1, Spika here, rooms on the page)", flush=True)
            print(f"token {served.token}", flush=True)
        await stop.wait()
        await served.stop()

    asyncio.run(serve())
