"""Assembling: the settings become senders, lanes, listeners and rules, all of them before any is put in force."""
