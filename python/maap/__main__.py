"""``python3 -m maap`` is the command line."""

from maap.cli.main import main

main()
