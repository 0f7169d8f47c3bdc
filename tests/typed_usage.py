"""What mypy accepts and refuses in a program that uses minipg: an ignored error that is none is an error itself."""

from minipg import A3C, PPO, TD3, TRPO

ppo: PPO = PPO("CartPole-v1", seed=1, threads=2, hidden=[32, 32], learning_rate=1e-3, objective="kl")
again: PPO = PPO.load("agent.npz", learning_rate=1e-4)
TRPO("CartPole-v1", max_kl=0.02, sampling="vine")
TD3("Pendulum-v1", policy_delay=2)
A3C("CartPole-v1", workers=2, engine="threads")

PPO("CartPole-v1", max_lk=1)  # type: ignore[call-arg]
PPO("CartPole-v1", max_kl=0.01)  # type: ignore[call-arg]
PPO("CartPole-v1", objective="clipped")  # type: ignore[arg-type]
TRPO("CartPole-v1", max_kl="small")  # type: ignore[arg-type]
A3C("CartPole-v1", engine="ray")  # type: ignore[arg-type]
print(TD3.load("agent.npz").config.policy_dealy)  # type: ignore[attr-defined]
