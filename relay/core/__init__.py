"""Pure decisions: no asyncio, clock, chance, files, network or logging in here."""
