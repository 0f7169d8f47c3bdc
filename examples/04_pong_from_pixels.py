"""Pong from pixels: REINFORCE sees what moved on the screen, and learns to beat the game's own player  (PG-7).

    pip install 'minipg-rl[atari,envpool]'
    python examples/04_pong_from_pixels.py --steps 3_000_000 --render pong.gif

The example of Karpathy 2016, "Deep Reinforcement Learning: Pong from Pixels". The observation is the difference of two
screens of 80 × 80 pixels: of 6400 numbers about 26 are not zero, and only these are multiplied. The network has 200
units. A game goes on until one side has 21 points, and the return begins anew at every point. Ctrl-C ends the training
and shows the agent as it is.
"""

import argparse
from importlib.util import find_spec

from minipg import REINFORCE
from minipg.envs.atari import atari
from minipg.runs import evaluate
from minipg.runs.render import render

parser = argparse.ArgumentParser()
parser.add_argument("--steps", type=int, default=3_000_000, help="decisions to learn from, four frames each")
parser.add_argument("--games", type=int, default=10, help="games to play at the end")
parser.add_argument("--render", metavar="FILE", help="a film of one of them, .gif or .mp4; or human: a window")
options = parser.parse_args()

agent = REINFORCE(
    atari("Pong", "difference-80x80"),
    vec="envpool" if find_spec("envpool") else "auto",
    num_envs=8,
    episodes=1,  # whole games of each environment per update
    weight="until-reward",
    baseline="average",  # returns are centred,
    normalize_advantage=True,  # and divided by their standard deviation
    hidden=(200,),
    activation="relu",
    learning_rate=1e-2,
    gamma=0.99,
    seed=0,
)
try:
    agent.learn(options.steps, progress=True)
except KeyboardInterrupt:
    print("stopped")
result = evaluate(agent, episodes=options.games)
print(f"after {agent.steps:,} decisions: {result['mean_return']:+.1f} points a game, from −21 to 21")
if options.render:
    render(agent, options.render)
    print(f"a game is in {options.render}")
