"""The rules that make a plain Linux router the NAT that a preset names. Pure: text in, text out."""

from __future__ import annotations

from natlab.behavior import Unsolicited
from natlab.nat.iptables import chains_for, masquerade
from natlab.nat.ruleset import FORWARD, Firewall, RouterPorts, RuleSet
from natlab.nat.table import TABLE, table_for
from natlab.presets import Preset

__all__ = ["TABLE", "Firewall", "RouterPorts", "RuleSet", "check_made", "rules_for"]


def check_made(preset: Preset, firewall: Firewall) -> None:
    """Raise `UsageError`, with the reason, if `firewall` cannot make `preset`."""
    rules_for(preset, RouterPorts("lan", "wan", "192.0.2.1", "10.0.0.2"), firewall)


def rules_for(
    preset: Preset, router: RouterPorts, firewall: Firewall = Firewall.NFTABLES
) -> RuleSet:
    """The rules under which `router` behaves as `preset` says, towards both UDP and the rest.

    Raises `UsageError` for a behaviour that these rules cannot make faithfully, with the reason.
    """
    behavior = preset.behavior
    if behavior is None:
        return RuleSet((FORWARD,))
    if firewall is Firewall.IPTABLES:
        return chains_for(behavior, router)
    if behavior.unsolicited is Unsolicited.ORDER_SENSITIVE:
        return masquerade(behavior, router)
    return table_for(behavior, router)
