"""`python -m minipg`: the command line."""

from minipg.cli import run_module

run_module()
