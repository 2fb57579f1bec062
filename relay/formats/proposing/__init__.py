"""Proposals of a mapping for a payload that no format knows, by the names and values of its fields."""

from relay.formats.proposing.proposal import Proposal, propose

__all__ = ["Proposal", "propose"]
