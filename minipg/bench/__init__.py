"""How fast minipg is on this machine, beside whatever peers are installed: what `minipg bench` runs."""
