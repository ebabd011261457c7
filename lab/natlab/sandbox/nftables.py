"""Rules loaded as ``nft -f -`` loads them, by the library of that program.

A process for it costs more than to read the rules and load them.
"""

from __future__ import annotations

import ctypes


def _found() -> ctypes.CDLL | None:
    try:
        library = ctypes.CDLL("libnftables.so.1")
    except OSError:
        return None
    library.nft_ctx_new.restype = ctypes.c_void_p
    return library


_LIBRARY = _found()
"""Found when this is imported, for all forks at once."""


def load(text: str) -> bool:
    """Load `text` in the network namespace that this thread is in.

    False without the library, and for what it refuses: then nothing has changed, and ``nft`` has the words for it.
    """
    if _LIBRARY is None:
        return False
    context = ctypes.c_void_p(_LIBRARY.nft_ctx_new(0))
    if not context:
        return False
    try:
        _LIBRARY.nft_ctx_buffer_output(context)
        _LIBRARY.nft_ctx_buffer_error(context)
        return bool(_LIBRARY.nft_run_cmd_from_buffer(context, text.encode()) == 0)
    finally:
        _LIBRARY.nft_ctx_free(context)
