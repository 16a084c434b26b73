"""`loadtests init`: the first files of a project that installs the harness as a tool.

`templates/` has the files as they are written, apart from the version.
"""

from loadtests.cli.init.project import command

__all__ = ["command"]
