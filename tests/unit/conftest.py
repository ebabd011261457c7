"""How property tests run by day: no example has a deadline, as other work shares the machine."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("by day", deadline=None)
# Where pytest reads this file late, `make fuzz` has chosen its own profile by now.
if settings.get_current_profile_name() == "default":
    settings.load_profile("by day")
