"""Faults of the sandbox, applied to a request."""

from __future__ import annotations

import asyncio

from aiohttp import web

from relay.sandbox.state import Fault, WebexState


async def have_faults(state: WebexState, request: web.Request, room: str | None, service: str) -> Fault | None:
    """Wait or cut the connection, if a fault matches the request. Return the fault if it is a status to answer."""
    fault = state.fault_for(request.method, room, service)
    if fault is None:
        return None
    if fault.latency:
        await _wait(fault.latency)
    if fault.drop:
        if request.transport is not None:
            request.transport.abort()
        return Fault(status=503)  # ends the handler; nobody receives it
    if not fault.status:
        return None
    state.throttled += fault.status == 429
    return fault


async def _wait(seconds: float) -> None:
    """Wait for some seconds."""
    try:
        async with asyncio.timeout(seconds):
            await asyncio.Event().wait()
    except TimeoutError:
        return
