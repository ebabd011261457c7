"""How much a server takes: idle clients, and attempts. `python -m scripts.load` measures; `scripts.load.cluster` does for several servers."""
