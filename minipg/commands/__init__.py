"""The commands of the command line: each a function of its arguments that returns an exit status."""

from minipg.commands.bench import bench_command
from minipg.commands.check import check_command
from minipg.commands.evaluate import evaluate_command
from minipg.commands.listing import list_command
from minipg.commands.plot import plot_command
from minipg.commands.train import train_command
from minipg.commands.watch import watch_command

COMMANDS = {
    "train": train_command,
    "evaluate": evaluate_command,
    "plot": plot_command,
    "watch": watch_command,
    "check": check_command,
    "bench": bench_command,
    "list": list_command,
}
