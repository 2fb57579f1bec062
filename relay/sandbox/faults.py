"""The faults that the sandbox is told to have, as they meet a request."""

from __future__ import annotations

import asyncio

from aiohttp import web

from relay.sandbox.state import Fault, WebexState


async def have_faults(state: WebexState, request: web.Request, room: str | None, service: str) -> Fault | None:
    """Be slow, or cut the connection, where a fault says so; the fault where it is a status to answer."""
    fault = state.fault_for(request.method, room, service)
    if fault is None:
        return None
    if fault.latency:
        await _rest(fault.latency)
    if fault.drop:
        if request.transport is not None:
            request.transport.abort()
        return Fault(status=503)
    if not fault.status:
        return None
    state.throttled += fault.status == 429
    return fault


async def _rest(seconds: float) -> None:
    """Be slow."""
    try:
        async with asyncio.timeout(seconds):
            await asyncio.Event().wait()
    except TimeoutError:
        return
