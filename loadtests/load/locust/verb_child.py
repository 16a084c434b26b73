"""Locust as a verb starts it: it follows the verb's settings alone.

`python -m loadtests.load.locust.verb_child` is `python -m locust` without Locust's own settings:
LOCUST_… variables, ./locust.conf, ~/.locust.conf and [tool.locust] in ./pyproject.toml would change
users, processes, tags or run time of a gate without a word. For a subject with a source tree of its
own, modules of that tree come first.
"""

from __future__ import annotations

import os
from typing import Final

from loadtests.interpreter import TREE_VARIABLE, search_tree_first

MODULE: Final = "loadtests.load.locust.verb_child"
PREFIX: Final = "LOCUST_"


def main() -> None:
    """Run Locust; its parsers look for no configuration file."""
    for name in [name for name in os.environ if name.startswith(PREFIX)]:
        del os.environ[name]
    from locust import argument_parser
    from locust.main import main as run_locust

    argument_parser.get_empty_argument_parser.__defaults__ = (True, ())
    argument_parser.get_parser.__defaults__ = ((),)
    search_tree_first(os.environ.get(TREE_VARIABLE, ""))
    run_locust()


if __name__ == "__main__":
    main()
