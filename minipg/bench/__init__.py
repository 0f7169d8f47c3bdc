"""`minipg bench`: the speed of minipg on this machine, beside other libraries that are installed."""
